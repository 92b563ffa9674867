"""What models return as a whole, seen as the generations that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessage, message_chunk_to_message
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from langchain_semcache.payload import CODEC


@dataclass(frozen=True, slots=True)
class ChatResults:
    """Stores a chat model's result as LangChain would have handed it to a `BaseCache`.

    `output_version` is the model's; LangChain rewrites the content after the leaf returned.
    """

    output_version: str | None = None
    name = CODEC.name

    def encode(self, result: ChatResult) -> bytes:
        """Raises `PayloadError` for what does not come back equal."""
        return CODEC.encode([self._complete(one, result) for one in result.generations])

    def decode(self, data: bytes) -> ChatResult:
        """A fresh object each time; raises `PayloadError`."""
        return ChatResult(generations=CODEC.decode(data))  # type: ignore[arg-type]  # checked by it

    def from_text(self, text: str) -> ChatResult:
        """A model's result that says just this."""
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def text(self, data: bytes) -> str:
        """The first answer as plain text."""
        return CODEC.text(data)

    def _complete(self, generation: ChatGeneration, result: ChatResult) -> ChatGeneration:
        message = generation.message
        alone = len(result.generations) == 1
        metadata: dict[str, Any] = {
            **((alone and result.llm_output) or {}),
            **(generation.generation_info or {}),
            **message.response_metadata,
        }
        update: dict[str, Any] = {"response_metadata": metadata}
        if self.output_version == "v1":
            update["content"] = message.content_blocks
            metadata["output_version"] = "v1"
        return generation.model_copy(update={"message": message.model_copy(update=update)})


class TextResults:
    """Stores a plain LLM's result for one prompt."""

    name = CODEC.name

    def encode(self, result: LLMResult) -> bytes:
        """Raises `PayloadError` for what does not come back equal."""
        return CODEC.encode(generations(result))

    def decode(self, data: bytes) -> LLMResult:
        """A fresh object each time; raises `PayloadError`."""
        return LLMResult(generations=[CODEC.decode(data)])

    def from_text(self, text: str) -> LLMResult:
        """An LLM's result that says just this."""
        return LLMResult(generations=[[Generation(text=text)]])

    def text(self, data: bytes) -> str:
        """The first answer as plain text."""
        return CODEC.text(data)


def generations(result: ChatResult | LLMResult) -> Sequence[Generation]:
    """The answers to one prompt."""
    if isinstance(result, ChatResult):
        return result.generations
    return result.generations[0]


def joined(chunks: Sequence[ChatGenerationChunk]) -> ChatResult:
    """A chat stream's chunks as its result; raises `ValueError` for none."""
    whole = merge_chat_generation_chunks(list(chunks))
    if whole is None:
        raise ValueError("the stream brought no chunk")
    message = message_chunk_to_message(whole.message)
    return ChatResult(
        generations=[ChatGeneration(message=message, generation_info=whole.generation_info)]
    )


def joined_text(chunks: Sequence[GenerationChunk]) -> LLMResult:
    """A text stream's chunks as its result; raises `ValueError` for none."""
    if not chunks:
        raise ValueError("the stream brought no chunk")
    whole = reduce(add, chunks)
    answer = Generation(text=whole.text, generation_info=whole.generation_info)
    return LLMResult(generations=[[answer]])
