"""An LLM without a provider: for examples, and for tests of your own engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from pydantic import Field


class StandInLLM(CustomLLM):
    """Answers at once or after `delay` seconds, counts its calls, streams a chunk a word.

    `reply` is a function of the prompt's text; without one the answer repeats the prompt's last
    line with a number. Chat messages reach it as one text, as LlamaIndex joins them.
    """

    model: str = "stand-in"
    temperature: float = 0.0
    reply: Callable[[str], str] | None = None
    delay: float = 0.0
    asked: list[str] = Field(default_factory=list)
    """The prompt of every call."""

    @property
    def calls(self) -> int:
        """How often the model was asked."""
        return len(self.asked)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        time.sleep(self.delay)
        return CompletionResponse(text=self._answer(prompt))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> Iterator[CompletionResponse]:
        def chunks() -> Iterator[CompletionResponse]:
            words, text = self._answer(prompt).split(" "), ""
            for number, word in enumerate(words):
                time.sleep(self.delay / len(words))
                delta = f" {word}" if number else word
                text += delta
                yield CompletionResponse(text=text, delta=delta)

        return chunks()

    def _answer(self, prompt: str) -> str:
        self.asked.append(prompt)
        if self.reply is not None:
            return self.reply(prompt)
        lines = prompt.strip().removesuffix("assistant:").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f"{self.calls}: {last.removeprefix('user: ').strip()}"
