"""The default embedder: a sentence-transformers model, exported once and run by onnxruntime."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence

import numpy as np

from semcache_core.embedders._exported import CannotExport, check_exporters
from semcache_core.embedders._graph import Graph, check_threads
from semcache_core.embedders._graphs import GRAPHS
from semcache_core.embedders._locate import DEFAULT_MODEL, Source
from semcache_core.embedders._vectors import failing_as_embedder, plain, unit_rows
from semcache_core.embedders.sentence_transformers import SentenceTransformerEmbedder
from semcache_core.errors import ConfigError, EmbedderError
from semcache_core.forks import ForkedChild, abandoned
from semcache_core.models import Matrix

log = logging.getLogger("semcache")

_DTYPES = ("float32", "int8")


class OnnxEmbedder(ForkedChild):
    """A `protocols.Embedder` and `TokenEmbedder`; what is longer than the window is cut.

    The first use of a model exports it with torch, in a process of its own, into the user's cache
    folder (`SEMCACHE_HOME` moves it); from then on neither torch nor transformers is imported. The
    vectors equal torch's (cosine above 0.9999), so the identity is the same as that of
    `SentenceTransformerEmbedder`. A model that cannot be exported runs on torch, with a warning.

    `dtype="int8"` takes a third of the time; its vectors differ (cosine about 0.99), and so does
    its identity. `threads`: for one text; None takes the processors there are, at most four.
    Raises `ConfigError` or `MissingDependency` at construction, `EmbedderError` later.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        dtype: str = "float32",
        threads: int | None = None,
        revision: str | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise ConfigError(f"dtype: {dtype!r} was given; it is one of {', '.join(_DTYPES)}")
        check_threads(threads)
        self._source = Source(model, revision)
        if self._source.is_local:
            check_exporters(self._source.folder, dtype)
        self._dtype = dtype
        self._threads = threads
        self._lock = threading.Lock()
        self._engine: Graph | SentenceTransformerEmbedder | None = None
        self.watch_forks()

    @property
    def identity(self) -> str:
        """A hash of the model's weights and settings, the same wherever its files are."""
        suffix = "" if self._dtype == "float32" else f":{self._dtype}"
        return self._source.folder.identity + suffix

    @property
    def dimension(self) -> int:
        return self._source.folder.dimension or self.embed(["dimension"]).shape[1]

    def fits(self, text: str) -> bool:
        """Whether no piece of the text is cut off or unknown to the model."""
        window = self._source.folder.window
        if window is not None:
            return window.fits(text)
        engine = self._loaded()
        return (engine.window if isinstance(engine, Graph) else engine).fits(text)

    def embed(self, texts: Sequence[str]) -> Matrix:
        texts = plain(texts)
        with failing_as_embedder(self._source.name):
            rows = self._loaded().embed(texts) if texts else np.empty((0, self.dimension))
            return unit_rows(rows, len(texts), self._source.name)

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        return await asyncio.to_thread(self.embed, texts)

    def embed_tokens(self, texts: Sequence[str]) -> list[Matrix]:
        """For each text shape (pieces without special ones, dimension), unit rows."""
        texts = plain(texts)
        with failing_as_embedder(self._source.name):
            engine = self._loaded()
            if not isinstance(engine, Graph):
                return engine.embed_tokens(texts)
            found = [engine.embed_tokens(text) for text in texts]
            return [unit_rows(rows, len(rows), self._source.name) for rows in found]

    def in_forked_child(self) -> None:
        self._lock = threading.Lock()
        if isinstance(self._engine, Graph):
            abandoned.append(self._engine)
            self._engine = None

    def _loaded(self) -> Graph | SentenceTransformerEmbedder:
        if self._engine is None:
            with self._lock:
                self._engine = self._engine or self._load()
        return self._engine

    def _load(self) -> Graph | SentenceTransformerEmbedder:
        folder = self._source.folder
        try:
            return GRAPHS.open(folder, self._dtype, self._threads)
        except CannotExport as error:
            if self._dtype != "float32":  # torch's vectors would not match this identity
                raise EmbedderError(f"{self._source.name} as {self._dtype}: {error}") from error
            log.warning(
                "semcache: %s runs on torch, at half the speed, not on onnxruntime: %s",
                self._source.name,
                error,
            )
            return SentenceTransformerEmbedder(folder.path)
