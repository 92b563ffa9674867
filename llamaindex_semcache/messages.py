"""Chat messages as the model is shown them, in a form that can be compared.

Normalised away is what varies without changing the question: a string against a single text block,
what an earlier answer brought along from its provider (usage, stop reasons), and the ids of tool
calls, which are random and so are numbered in order of appearance. Files count by their content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import IOBase
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from pydantic import BaseModel

from semcache_core.keys import sha256
from semcache_core.prompts.draft import Said

Plain = dict[str, Any]
"""A message: role, content (a string, or a list of strings and blocks), extras if there are any."""

_NOISE = {
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "stop_reason",
    "finish_reason",
    "thinking_delta",
    "semcache",
}
_CALL_IDS = {"tool_call_id", "call_id", "tool_use_id"}


def plain_messages(messages: Sequence[ChatMessage]) -> list[Plain]:
    """Raises `UncacheableError` for content without a stable form."""
    numbers: dict[str, str] = {}
    return [_plain(message, numbers) for message in messages]


def _plain(message: ChatMessage, numbers: dict[str, str]) -> Plain:
    content = [_block(block, numbers) for block in message.blocks]
    plain: Plain = {
        "role": MessageRole(message.role).value,
        "content": content[0] if len(content) == 1 and isinstance(content[0], str) else content,
    }
    noise = _NOISE | {"tool_calls"} if _calls_tools(message) else _NOISE
    extras = {k: v for k, v in message.additional_kwargs.items() if k not in noise and v}
    if extras:
        plain["extras"] = _numbered(_dumped(extras), numbers)
    return plain


def _calls_tools(message: ChatMessage) -> bool:
    """Its blocks say so; what providers repeat in the extras depends on whether it was streamed."""
    return any(isinstance(block, ToolCallBlock) for block in message.blocks)


def _dumped(value: Any) -> Any:
    """A provider's objects as the dicts that come back from the cache in their place."""
    if isinstance(value, BaseModel):
        return _dumped(value.model_dump())
    if isinstance(value, Mapping):
        return {key: _dumped(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_dumped(item) for item in value]
    return value


def _block(block: Any, numbers: dict[str, str]) -> Any:
    if type(block) is TextBlock:
        return block.text
    fields = {name: getattr(block, name) for name in type(block).model_fields}
    told = {name: _value(value, numbers) for name, value in fields.items() if value is not None}
    return _numbered(told, numbers)


def _value(value: Any, numbers: dict[str, str]) -> Any:
    if isinstance(value, Path):
        return {"file": sha256(value.read_bytes())}
    if isinstance(value, IOBase):
        return {"file": sha256(_content(value))}
    if isinstance(value, list):
        return [_value(item, numbers) for item in value]
    if isinstance(value, BaseModel):
        return _block(value, numbers)
    return value if isinstance(value, str | bytes | int | float | Mapping) else str(value)


def _content(file: Any) -> bytes:
    """All of an open file, left where it was."""
    place = file.tell()
    file.seek(0)
    data: bytes | str = file.read()
    file.seek(place)
    return data if isinstance(data, bytes) else data.encode()


def _numbered(value: Any, numbers: dict[str, str]) -> Any:
    """With ids of tool calls replaced, wherever a provider keeps them."""
    if isinstance(value, Mapping):
        is_call = "function" in value or "tool_kwargs" in value
        return {
            key: numbers.setdefault(str(item), f"call {len(numbers)}")
            if item and (key in _CALL_IDS or (key == "id" and is_call))
            else _numbered(item, numbers)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_numbered(item, numbers) for item in value]
    return value


def text_and_others(content: Any) -> tuple[str, list[Any]]:
    """The text of a message, and its images and files with the places of the texts among them."""
    blocks = [content] if isinstance(content, str) else list(content)
    texts = [block for block in blocks if isinstance(block, str)]
    others = [None if isinstance(block, str) else block for block in blocks]
    return "\n".join(texts), others if len(texts) != len(blocks) else []


def said_messages(messages: Sequence[ChatMessage]) -> list[Said]:
    """For readers of prompts: texts apart from all else, and images with their content."""
    numbers: dict[str, str] = {}
    return [_said(message, numbers) for message in messages]


def _said(message: ChatMessage, numbers: dict[str, str]) -> Said:
    plain = _plain(message, numbers)
    texts = [block.text for block in message.blocks if type(block) is TextBlock]
    others = [
        None if type(block) is TextBlock else _shown(block, numbers) for block in message.blocks
    ]
    extras = plain.get("extras")
    bare = len(texts) == len(others) == 1 and extras is None
    return Said(plain["role"], "\n".join(texts), None if bare else [others, extras])


def _shown(block: Any, numbers: dict[str, str]) -> Any:
    told = _block(block, numbers)
    if isinstance(block, ImageBlock) and (block.image or block.path):
        told = {key: value for key, value in told.items() if key not in ("image", "path")}
        file = block.image if isinstance(block.image, IOBase) else block.resolve_image()
        told["image"] = _content(file)
    return told


def last_user(messages: Sequence[Plain]) -> int | None:
    """Where the newest question is."""
    places = [n for n, message in enumerate(messages) if message["role"] == "user"]
    return places[-1] if places else None


def has_tool_results(messages: Sequence[Plain]) -> bool:
    """Whether any of these messages is a tool's answer."""
    return any(message["role"] in {"tool", "function"} for message in messages)


def spoken(messages: Sequence[Plain]) -> tuple[list[Plain], tuple[str, ...]]:
    """Earlier turns apart: what must match exactly, and the texts that are compared by meaning."""
    exact: list[Plain] = []
    texts: list[str] = []
    for message in messages:
        text, others = text_and_others(message["content"])
        if message["role"] in {"user", "assistant"} and text and "extras" not in message:
            texts.append(text)
            exact.append({"role": message["role"], "content": others})
        else:
            exact.append(message)
    return exact, tuple(texts)
