"""Sulci with its SQLite backend at its defaults; telemetry off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from _serve import Corpus, Op, Subject, answer, serve

os.environ["SULCI_QUIET"] = "1"


class Known:
    """Sulci's `Embedder`: the vectors are looked up."""

    dimension = 384

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def embed(self, text: str) -> list[float]:
        return [float(x) for x in self._corpus.vector(text)]

    def embed_batch(self, texts: list[str]) -> list[list[float]]:
        return [self.embed(text) for text in texts]


class Sulci(Subject):
    """`sulci.Cache`."""

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus, self._folder = corpus, folder
        self._open()
        for question in corpus.texts["stored"][: corpus.count]:
            self._put(question)

    def _open(self) -> None:
        from sulci import Cache

        self.cache: Any = Cache(
            backend="sqlite",
            embedding_model=Known(self.corpus),
            db_path=str(self._folder),
            telemetry=False,
        )

    def reopen(self) -> None:
        self._open()

    def ops(self) -> dict[str, Op]:
        texts = self.corpus.texts
        return {
            "exact": lambda i: self._get(texts["stored"][i]),
            "semantic": lambda i: self._get(texts["paraphrased"][i]),
            "miss": lambda i: self._get(texts["novel"][i]),
            "put": lambda i: self._put(texts["stored"][i]),
        }

    def _get(self, question: str) -> str:
        return self.cache.get(question)[0] or ""

    def _put(self, question: str) -> str:
        said = answer(question)
        self.cache.set(question, said)
        return said


if __name__ == "__main__":
    serve(Sulci())
