"""A stored answer as chunks: joined again they are the answer, and they arrive like a stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)

_WORDS = re.compile(r"\S+\s*|\s+")
_PIECES = 64  # a long answer comes in larger pieces: every chunk costs its consumer a callback
# What LangChain keeps once when it joins chunks that all have it; other texts would be repeated.
_ON_EVERY_CHUNK = ("output_version", "model_provider")


def pieces(text: str) -> list[str]:
    """The text cut at word borders into at most 64 pieces; no text is no piece."""
    words = _WORDS.findall(text)
    step = -(-len(words) // _PIECES) or 1
    return ["".join(words[n : n + step]) for n in range(0, len(words), step)]


def chat_chunks(generation: ChatGeneration) -> Iterator[ChatGenerationChunk]:
    """The chunks of one chat answer: content, then tool calls, then metadata and usage."""
    message = generation.message
    if not isinstance(message, AIMessage) or message.invalid_tool_calls or message.name:
        # A call that could not be parsed keeps its error, and a name its place, only when whole.
        yield _whole(generation)
        return
    shared = {k: v for k, v in message.response_metadata.items() if k in _ON_EVERY_CHUNK}
    for content in _contents(message.content):
        yield _chunk(content=content, response_metadata=dict(shared))
    empty: Any = "" if isinstance(message.content, str) else []
    if message.tool_calls:
        calls = [_call(number, call) for number, call in enumerate(message.tool_calls)]
        yield _chunk(content=empty, tool_call_chunks=calls, response_metadata=dict(shared))
    yield _chunk(
        content=empty,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )


def text_chunks(generation: Generation) -> Iterator[GenerationChunk]:
    """The chunks of one text answer; what the provider said about it comes with the last."""
    *most, last = pieces(generation.text) or [""]
    for piece in most:
        yield GenerationChunk(text=piece)
    yield GenerationChunk(text=last, generation_info=generation.generation_info)


def _whole(generation: ChatGeneration) -> ChatGenerationChunk:
    fields = {k: v for k, v in generation.message.__dict__.items() if k != "type"}
    return ChatGenerationChunk(message=AIMessageChunk(**fields, chunk_position="last"))


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


def _contents(content: str | list[Any]) -> Iterator[Any]:
    if isinstance(content, str):
        yield from pieces(content)
        return
    for block in content:
        for part in _parts(block):
            yield [part]


def _parts(block: Any) -> Iterator[Any]:
    """A text block that has an index in pieces, which LangChain joins by it; others whole."""
    if not (isinstance(block, dict) and block.get("type") == "text" and "index" in block):
        yield block
        return
    first, *more = pieces(block.get("text") or "") or [""]
    yield {**block, "text": first}
    for piece in more:
        yield {"type": "text", "text": piece, "index": block["index"]}


def _call(number: int, call: Any) -> Any:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    return tool_call_chunk(name=call["name"], args=arguments, id=call["id"], index=number)
