"""The core's cache in LlamaIndex's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

from semcache_core.cache import SemanticCache as Core
from semcache_core.errors import ConfigError


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

    @contextmanager
    def calling(
        self, model: Any, system: str | None = None, exact: object = None
    ) -> Iterator[Callable[[str], Any]]:
        """`model` of `warm`: an LLM, cached here or not yet, a query or chat engine, a function.

        An LLM is warmed for `chat` (after `system`, if that is given) and for `complete`.
        """
        if model is None:
            with super().calling(model, system, exact) as call:
                yield call
            return
        from llamaindex_semcache.warming import call_of

        yield call_of(self, model, system)
