"""LangChain's own caches behind `.invoke`. Argument: memory, sqlite, or none (the bare model)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from _langchain import Instant, messages, ops
from _serve import Corpus, Op, Subject, serve


class LangChain(Subject):
    """Exact only: neither knows a paraphrase."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        self.model = Instant(cache=self._cache(folder))
        if self._kind != "none":
            for question in corpus.texts["stored"][: corpus.count]:
                self.model.invoke(messages(question))

    def _cache(self, folder: Path) -> Any:
        if self._kind == "none":
            return False
        if self._kind == "sqlite":
            from langchain_community.cache import SQLiteCache

            return SQLiteCache(str(folder / "langchain.db"))
        from langchain_core.caches import InMemoryCache

        return InMemoryCache()

    def ops(self) -> dict[str, Op]:
        return ops(self.model, self.corpus, "exact", "miss and put")


if __name__ == "__main__":
    serve(LangChain(sys.argv[1]))
