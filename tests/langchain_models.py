"""Chat models and LLMs that count their calls, for the tests of the LangChain adapter."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    GenerationChunk,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

USAGE = {"input_tokens": 5, "output_tokens": 10, "total_tokens": 15}
METADATA = {"model_name": "counting", "finish_reason": "stop"}


class Counting(BaseChatModel):
    """Answers `"<n>: <question>"`, n being its how manieth answer; `reply` gives other messages."""

    model: str = "counting"
    temperature: float | None = None
    log: list[Any] = Field(default_factory=list)
    reply: Any = None
    delay: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "counting"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "temperature": self.temperature}

    @property
    def calls(self) -> int:
        return len(self.log)

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        return self.bind(
            tools=[convert_to_openai_tool(tool) for tool in tools],
            tool_choice=tool_choice,
            **kwargs,
        )

    def answer(self, messages: Any, kwargs: Any) -> AIMessage:
        self.log.append((messages, kwargs))
        if self.reply is not None:
            return self.reply(len(self.log), messages)
        return AIMessage(
            f"{len(self.log)}: {messages[-1].text}",
            usage_metadata=dict(USAGE),
            response_metadata=dict(METADATA),
        )

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.delay:
            time.sleep(self.delay)
        answer = self.answer(messages, kwargs)
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Streaming(Counting):
    """Also streams: a chunk a word, the tool calls, and the usage at the end."""

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        for chunk in chunks_of(self.answer(messages, kwargs)):
            if self.delay:
                time.sleep(self.delay)
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


class AsyncStreaming(Streaming):
    """Has asynchronous leaves of its own, too."""

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        await asyncio.sleep(self.delay)
        answer = self.answer(messages, kwargs)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        for chunk in chunks_of(self.answer(messages, kwargs)):
            await asyncio.sleep(self.delay)
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def chunks_of(message: AIMessage) -> list[ChatGenerationChunk]:
    words = message.content.split(" ") if message.content else []
    texts = [word if n == 0 else f" {word}" for n, word in enumerate(words)]
    found = [AIMessageChunk(text) for text in texts]
    if message.tool_calls:
        found.append(AIMessageChunk("", tool_calls=message.tool_calls))
    found.append(
        AIMessageChunk(
            "",
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
        )
    )
    return [ChatGenerationChunk(message=chunk) for chunk in found]


class CountingLLM(LLM):
    """A plain LLM that answers `"<n>: <prompt>"`."""

    log: list[str] = Field(default_factory=list)
    style: str = ""

    @property
    def _llm_type(self) -> str:
        return "counting-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"style": self.style}

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kw: Any) -> str:
        self.log.append(prompt)
        return f"{len(self.log)}: {prompt}"


class StreamingLLM(CountingLLM):
    """Also streams."""

    def _stream(self, prompt: str, stop: Any = None, run_manager: Any = None, **kw: Any) -> Any:
        for word in self._call(prompt).split(" "):
            chunk = GenerationChunk(text=word + " ")
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def agent_reply(number: int, messages: Any) -> AIMessage:
    """An agent's model: asks for the weather once, then answers from the tool's result."""
    last = messages[-1]
    if isinstance(last, ToolMessage):
        return AIMessage(f"It is {last.content}.")
    call = {"name": "weather", "args": {"city": "Paris"}, "id": f"model-call-{number}"}
    return AIMessage("", tool_calls=[call])
