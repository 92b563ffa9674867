"""A chat model without a provider: for examples, and for tests of your own chains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

Reply = Callable[[list[BaseMessage]], "str | AIMessage"]


class StandInChatModel(BaseChatModel):
    """Answers at once or after `delay` seconds, counts its calls, streams a chunk a word.

    `reply` is a function of the messages that returns a text or a message (with tool calls, say);
    without one the answer repeats the question with a number. Usage is estimated at four characters
    a token.
    """

    model_name: str = "stand-in"
    temperature: float | None = None
    reply: Reply | None = None
    delay: float = 0.0
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of every call."""

    @property
    def calls(self) -> int:
        """How often the model was asked."""
        return len(self.asked)

    @property
    def _llm_type(self) -> str:
        return "semcache-stand-in"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model_name": self.model_name, "temperature": self.temperature}

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As a provider's class: the tools go into the request."""
        described = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        time.sleep(self.delay)
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chunks = _chunks(self._answer(messages))
        for chunk in chunks:
            time.sleep(self.delay / len(chunks))
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        self.asked.append(messages)
        said = self.reply(messages) if self.reply else f"{self.calls}: {messages[-1].text}"
        message = AIMessage(said) if isinstance(said, str) else said
        heard, spoken = sum(_tokens(one.text) for one in messages), _tokens(message.text)
        usage = {"input_tokens": heard, "output_tokens": spoken, "total_tokens": heard + spoken}
        return message.model_copy(
            update={
                "usage_metadata": usage,
                "response_metadata": {"model_name": self.model_name, "finish_reason": "stop"},
            }
        )


def _chunks(message: AIMessage) -> list[ChatGenerationChunk]:
    """A chunk a word, then one with the tool calls and the usage."""
    words = message.text.split(" ") if message.text else []
    texts = [AIMessageChunk(content=f" {word}" if n else word) for n, word in enumerate(words)]
    last = AIMessageChunk(
        content="",
        tool_calls=message.tool_calls,
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
    return [ChatGenerationChunk(message=chunk) for chunk in (*texts, last)]


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)
