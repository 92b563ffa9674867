"""semcache behind LlamaIndex's `.chat`, or the bare model. Argument: memory, disk or none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from _serve import Corpus, Op, Subject, answer, serve
from llama_index.core.llms import ChatMessage, ChatResponse, MockLLM
from own_core import Known

from llamaindex_semcache import SemanticCache, cached, refresh


class Instant(MockLLM):
    """Answers at once."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        text = answer(messages[-1].content)
        return ChatResponse(message=ChatMessage(role="assistant", content=text))


class LlamaIndex(Subject):
    """Filled through `.chat` itself."""

    def __init__(self, place: str) -> None:
        self._place = place

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus, self.cache = corpus, None
        self.model: Any = Instant()
        if self._place == "none":
            return
        path = folder if self._place == "disk" else None
        self.cache = SemanticCache(path, embed_model=Known(corpus))
        self.model = cached(Instant(), self.cache)
        with refresh():
            for question in corpus.texts["stored"][: corpus.count]:
                self._ask(question)
        self._ask(corpus.texts["novel"][-1])
        self.cache.flush()

    def ops(self) -> dict[str, Op]:
        texts = self.corpus.texts
        bare: dict[str, Op] = {
            "exact": lambda i: self._ask(texts["stored"][i]),
            "miss and put": lambda i: self._ask(texts["novel"][i]),
        }
        if self.cache is None:
            return bare
        return bare | {"semantic": lambda i: self._ask(texts["paraphrased"][i])}

    def _ask(self, question: str) -> str:
        return str(self.model.chat([ChatMessage(question)]).message.content)

    def close(self) -> None:
        if self.cache is not None:
            self.cache.close()


if __name__ == "__main__":
    serve(LlamaIndex(sys.argv[1]))
