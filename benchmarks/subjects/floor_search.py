"""Floors of the search for a neighbour: numpy's product on one thread, and hnswlib (ef 100).

Argument: numpy or hnswlib. A hit also looks its answer up in a list.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from _serve import Corpus, Op, Subject, answer, serve

THRESHOLD = 0.8


class Numpy(Subject):
    """The whole matrix times the vector."""

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        self._answers = [answer(q) for q in corpus.texts["stored"][: corpus.count]]
        self._rows = corpus.vectors(0, corpus.count)

    def ops(self) -> dict[str, Op]:
        texts = self.corpus.texts
        return {
            "semantic": lambda i: self._nearest(texts["paraphrased"][i]),
            "miss": lambda i: self._nearest(texts["novel"][i]),
        }

    def _nearest(self, question: str) -> str:
        similarities = np.einsum("ij,j->i", self._rows, self.corpus.vector(question))
        best = int(similarities.argmax())
        return self._answers[best] if similarities[best] >= THRESHOLD else ""


class Hnswlib(Numpy):
    """The graph that Chroma builds, without Chroma."""

    def open(self, corpus: Corpus, folder: Path) -> None:
        import hnswlib

        super().open(corpus, folder)
        self._index: Any = hnswlib.Index(space="cosine", dim=384)
        self._index.init_index(max_elements=corpus.count, ef_construction=100, M=16)
        self._index.add_items(self._rows, num_threads=2)
        self._index.set_ef(100)

    def _nearest(self, question: str) -> str:
        labels, distances = self._index.knn_query(self.corpus.vector(question), k=1)
        return self._answers[labels[0][0]] if 1 - distances[0][0] >= THRESHOLD else ""


if __name__ == "__main__":
    serve({"numpy": Numpy, "hnswlib": Hnswlib}[sys.argv[1]]())
