"""semcache behind LangChain's `.invoke`.

Arguments: memory or disk, and cache (the model's own `cache=`) or twin (`cached(model)`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from _langchain import Instant, messages, ops
from _serve import Corpus, Op, Subject, serve
from own_core import Known

from langchain_semcache import SemanticCache, cached, refresh


class LangChain(Subject):
    """Filled through `.invoke` itself."""

    def __init__(self, place: str, way: str) -> None:
        self._place, self._way = place, way

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        path = folder if self._place == "disk" else None
        self.cache: Any = SemanticCache(path, embedding=Known(corpus))
        twin = self._way == "twin"
        self.model: Any = cached(Instant(), self.cache) if twin else Instant(cache=self.cache)
        with refresh():  # stores each, however alike they are
            for question in corpus.texts["stored"][: corpus.count]:
                self.model.invoke(messages(question))
        self.model.invoke(messages(corpus.texts["novel"][-1]))
        self.cache.flush()

    def ops(self) -> dict[str, Op]:
        return ops(self.model, self.corpus, "exact", "semantic", "miss and put")

    def close(self) -> None:
        self.cache.close()


if __name__ == "__main__":
    serve(LangChain(sys.argv[1], sys.argv[2]))
