"""Embedders: texts to unit vectors. `make_embedder` makes one out of whatever the user has."""

from __future__ import annotations

import os
from typing import Any, cast

from semcache_core.embedders.adapters import (
    CallableEmbedder,
    ChromaEmbedder,
    LangChainEmbedder,
    LlamaIndexEmbedder,
    adapted,
)
from semcache_core.embedders.encoder import EncoderEmbedder
from semcache_core.embedders.onnx import OnnxEmbedder
from semcache_core.embedders.sentence_transformers import SentenceTransformerEmbedder
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.embedders.wrapper import CachingEmbedder, CachingTokenEmbedder
from semcache_core.errors import ConfigError
from semcache_core.protocols import Embedder

__all__ = [
    "CachingEmbedder",
    "CachingTokenEmbedder",
    "CallableEmbedder",
    "ChromaEmbedder",
    "EncoderEmbedder",
    "HashEmbedder",
    "LangChainEmbedder",
    "LlamaIndexEmbedder",
    "OnnxEmbedder",
    "SentenceTransformerEmbedder",
    "make_embedder",
]

_METHODS = ("identity", "dimension", "fits", "embed", "aembed")


def make_embedder(
    spec: Any = None,
    *,
    identity: str | None = None,
    window: int | None = None,
    cache_size: int = 10_000,
) -> Embedder:
    """An embedder with a cache of recent texts, ready to be shared by threads and tasks.

    `spec`: None (all-MiniLM-L6-v2, on onnxruntime), the name or folder of a sentence-transformers
    model, a loaded one, an `Embedder`, a LangChain `Embeddings`, a LlamaIndex `BaseEmbedding`, a
    Chroma embedding function, or a callable of a list of texts or of one text, synchronous or not.
    `identity` and `window` (word pieces) describe what is not ours and cannot always tell.

    Raises `ConfigError` for anything else and for a model that is known not to exist,
    `MissingDependency` when an extra is needed.
    """
    if isinstance(spec, CachingEmbedder):
        return spec
    if spec is None or isinstance(spec, str | os.PathLike):
        return _cached(OnnxEmbedder(*([] if spec is None else [spec])), cache_size)
    if all(_has(spec, name) for name in _METHODS):
        return _cached(cast(Embedder, spec), cache_size)
    made = adapted(spec, identity=identity, window=window)
    if made is None:
        raise ConfigError(
            f"embedder: {type(spec).__name__} was given; it is None, the name or folder of a "
            "sentence-transformers model, one of semcache's embedders, a LangChain Embeddings, a "
            "LlamaIndex BaseEmbedding, a Chroma embedding function, or a callable of texts"
        )
    return _cached(made, cache_size)


def _has(spec: Any, name: str) -> bool:
    """Asked of the class where possible: `isinstance` runs the properties, and so the model."""
    return hasattr(type(spec), name) or name in getattr(spec, "__dict__", ())


def _cached(embedder: Any, cache_size: int) -> CachingEmbedder:
    shows_tokens = callable(getattr(type(embedder), "embed_tokens", None))
    kind = CachingTokenEmbedder if shows_tokens else CachingEmbedder
    return kind(embedder, cache_size=cache_size)
