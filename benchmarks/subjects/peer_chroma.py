"""A cache as it is usually built on Chroma, with or without a metadata filter for the tenant.

Argument: filtered (`where={"scope": ...}`, the answer in the metadata) or plain (no filter). Eight
tenth of similarity make a hit, as in GPTCache. "exact" is `get` by id.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _serve import Corpus, Op, Subject, answer, serve

THRESHOLD = 0.8


def key(question: str) -> str:
    """A question's id."""
    return hashlib.sha256(question.encode()).hexdigest()


class Chroma(Subject):
    """A persistent client and one collection with cosine distance."""

    def __init__(self, kind: str) -> None:
        self._where: dict[str, Any] | None = {"scope": "one"} if kind == "filtered" else None

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus, self._folder = corpus, folder
        self._open()
        asked = corpus.texts["stored"][: corpus.count]
        for first in range(0, len(asked), 1000):
            part = asked[first : first + 1000]
            self.collection.add(
                ids=[key(question) for question in part],
                embeddings=corpus.vectors(first, first + len(part)),
                metadatas=[self._metadata(question) for question in part],
            )

    def _open(self) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.PersistentClient(
            str(self._folder), Settings(anonymized_telemetry=False)
        )
        self.collection = self._client.get_or_create_collection(
            "cache", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )

    def reopen(self) -> None:
        self._open()

    def ops(self) -> dict[str, Op]:
        texts = self.corpus.texts
        return {
            "exact": lambda i: self._by_id(texts["stored"][i]),
            "semantic": lambda i: self._nearest(texts["paraphrased"][i]),
            "miss": lambda i: self._nearest(texts["novel"][i]),
            "put": lambda i: self._put(texts["stored"][i]),
        }

    def _by_id(self, question: str) -> str:
        found = self.collection.get(ids=[key(question)], include=["metadatas"])
        return found["metadatas"][0]["answer"] if found["ids"] else ""

    def _nearest(self, question: str) -> str:
        found = self.collection.query(
            query_embeddings=self.corpus.vector(question)[None].astype(np.float32),
            n_results=1,
            where=self._where,
            include=["metadatas", "distances"],
        )
        if not found["ids"][0] or 1 - found["distances"][0][0] < THRESHOLD:
            return ""
        return found["metadatas"][0][0]["answer"]

    def _put(self, question: str) -> str:
        self.collection.add(
            ids=[key(question)],
            embeddings=self.corpus.vector(question)[None],
            metadatas=[self._metadata(question)],
        )
        return answer(question)

    @staticmethod
    def _metadata(question: str) -> dict[str, Any]:
        return {"scope": "one", "question": question, "answer": answer(question)}

    def close(self) -> None:
        self._client.close()


if __name__ == "__main__":
    serve(Chroma(sys.argv[1]))
