"""Whole lookups, embedding included, each question new. Argument: cache, embedder or encode.

cache     a semantic hit (or a miss) through `SemanticCache.get` with its own embedder
embedder  semcache's embedder alone: what no semantic lookup can go below
encode    a bare `SentenceTransformer.encode` of the same model
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _serve import Corpus, Op, Subject, answer, serve
from own_core import fill

from semcache_core import SemanticCache

STARTS = ("How could I", "How may I", "How might I", "In what way do I", "How would I")


class Whole(Subject):
    """The three have the same questions to embed."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._number = itertools.count(1)

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        self._do = {"cache": self._cache, "embedder": self._embedder, "encode": self._encode}[
            self._kind
        ]()
        for n in range(20):
            self._do(f"How do I warm up an embedder {n}?")

    def _cache(self) -> Any:
        self.cache = SemanticCache()
        fill(self.cache, self.corpus)
        return self.cache.get

    def _embedder(self) -> Any:
        from semcache_core.embedders import make_embedder

        embedder = make_embedder(None)
        return lambda text: embedder.embed([text])

    def _encode(self) -> Any:
        from semcache_core.embedders._locate import DEFAULT_MODEL, Source
        from semcache_core.embedders.sentence_transformers import load

        model = load(Source(DEFAULT_MODEL).folder.path, "cpu")
        return lambda text: model.encode(text, show_progress_bar=False)

    def ops(self) -> dict[str, Op]:
        return {"semantic": self._semantic, "miss": self._miss}

    def _semantic(self, i: int) -> str:
        start = STARTS[next(self._number) % len(STARTS)]
        question = self.corpus.texts["stored"][i]
        got = self._do(question.replace("How do I", start, 1))
        return got or "" if self._kind == "cache" else answer(question) * bool(np.size(got))

    def _miss(self, i: int) -> str:
        got = self._do(f"{self.corpus.texts['novel'][i]} ({next(self._number)})")
        return got or "" if self._kind == "cache" else ""


if __name__ == "__main__":
    serve(Whole(sys.argv[1]))
