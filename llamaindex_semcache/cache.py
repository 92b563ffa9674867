"""The core's cache in LlamaIndex's words."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

from semcache_core.cache import SemanticCache as Core
from semcache_core.errors import ConfigError
from semcache_core.warming import Warmed


class SemanticCache(Core):
    """A cache for `cached(llm, cache)` and `CachedQueryEngine(engine, cache)`.

    Takes what the core's cache takes; the embedder is called `embed_model`: any `BaseEmbedding`,
    a model name or path, or one of semcache's embedders. Without one it is the local
    all-MiniLM-L6-v2: `Settings.embed_model` is never taken silently, since its texts may leave the
    machine and cost money; pass it if you want it.

    Raises `ConfigError` for arguments that cannot work and `StoreError` for an unusable path.
    """

    embedder_argument = "embed_model"

    def __init__(
        self, path: str | PathLike[str] | None = None, *, embed_model: Any = None, **core: Any
    ) -> None:
        if "embedder" in core:
            raise ConfigError("embedder: LlamaIndex's word for it is embed_model=")
        super().__init__(path, embedder=embed_model, **core)

    def warm(  # type: ignore[override]  # takes an LLM in place of a function
        self, pairs: Iterable[Any], llm: Any = None, *, system: str | None = None, **how: Any
    ) -> Warmed:
        """Store answers that are known already, where later calls will find them.

        `llm` is what the program asks: an LLM, cached here or not yet, a query or chat engine on a
        cached LLM, or a function of a question that ends at one. An LLM is warmed for `chat` (after
        `system`, if that is given) and for `complete`. No model is asked. `pairs` and `how` (exact,
        overwrite, batch, progress) are those of the core's `warm`.
        """
        from llamaindex_semcache.warming import call_of

        call = None if llm is None else call_of(self, llm, system)
        return super().warm(pairs, call, **how)
