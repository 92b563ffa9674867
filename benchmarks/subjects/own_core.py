"""semcache's core: `SemanticCache.get` and `put`. Argument: memory or disk."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _serve import Corpus, Op, Subject, answer, serve

from semcache_core import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.envelope import seal
from semcache_core.models import Entry


class Known:
    """An embedder that looks the vectors up; nothing else of the cache is replaced."""

    identity = "all-MiniLM-L6-v2, made before"
    dimension = 384

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def fits(self, text: str) -> bool:
        return True

    def embed(self, texts: Sequence[str]) -> Any:
        return np.stack([self._corpus.vector(text) for text in texts])

    async def aembed(self, texts: Sequence[str]) -> Any:
        return self.embed(texts)


def fill(cache: Any, corpus: Corpus, payload: Any = None, prompt: Any = None) -> None:
    """Store all questions, a thousand at a time; the facade has no batches."""
    seen, now = corpus.texts["stored"][: corpus.count], time.time()
    prompt = prompt or (lambda question: cache.prompt(JSON.name, None, question))
    payload = payload or (lambda question: seal(JSON.name, JSON.encode(answer(question))))
    for first in range(0, len(seen), 1000):
        part = seen[first : first + 1000]
        rows = corpus.vectors(first, first + len(part))
        asked = [prompt(question) for question in part]
        cache._parts.store.put(
            [
                Entry(p.key, p.scope, "", payload(q), now, query=p.query, vector=row.copy())
                for p, q, row in zip(asked, part, rows, strict=True)
            ]
        )
    cache.get("warm up")
    cache.flush()


class Core(Subject):
    """In memory, or in a folder."""

    def __init__(self, place: str) -> None:
        self._place = place

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        self._path = folder if self._place == "disk" else None
        self._open()
        fill(self.cache, corpus)
        self.cache.get(corpus.texts["novel"][0])
        self.cache.flush()

    def _open(self) -> None:
        self.cache = SemanticCache(self._path, embedder=Known(self.corpus))

    def reopen(self) -> None:
        if self._path is None:
            raise NotImplementedError("a cache in memory")
        self._open()

    def ops(self) -> dict[str, Op]:
        return {
            "exact": lambda i: self.cache.get(self.corpus.texts["stored"][i]) or "",
            "semantic": lambda i: self.cache.get(self.corpus.texts["paraphrased"][i]) or "",
            "miss": lambda i: self.cache.get(self.corpus.texts["novel"][i]) or "",
            "put": self._put,
            "100 tasks": self._tasks,
        }

    def _put(self, i: int) -> str:
        question = self.corpus.texts["stored"][i]
        said = answer(question)
        return said if self.cache.put(question, said) else ""

    def _tasks(self, i: int) -> str:
        """A hundred semantic hits at once on an event loop; the time is of all of them."""
        asked = self.corpus.texts["paraphrased"]

        async def together() -> list[Any]:
            return await asyncio.gather(
                *(self.cache.aget(asked[(i + k) % len(asked)]) for k in range(100))
            )

        return answer(self.corpus.texts["stored"][i]) if all(asyncio.run(together())) else ""

    def close(self) -> None:
        self.cache.close()


if __name__ == "__main__":
    serve(Core(sys.argv[1]))
