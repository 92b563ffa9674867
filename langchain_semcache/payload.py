"""LangChain's generations to bytes and back, through its own `dumps` and `loads`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from typing import Any, TypeVar

from langchain_core.load import dumps
from langchain_core.messages import LC_ID_PREFIX, AIMessage, AIMessageChunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)
from pydantic import BaseModel

from langchain_semcache.identifiers import fresh_uuid
from langchain_semcache.reviving import Reviver
from semcache_core.errors import PayloadError

# The only classes a stored answer may bring to life: the cache's file is untrusted input.
ALLOWED: list[type] = [
    Generation,
    GenerationChunk,
    ChatGeneration,
    ChatGenerationChunk,
    AIMessage,
    AIMessageChunk,
]
_CUT_SHORT = {"length", "max_tokens", "model_length", "MAX_TOKENS"}
_FILTERED = {"content_filter", "refusal", "safety", "SAFETY", "content_filtered", "blocklist"}
MARK = "semcache"
"""Where a hit says so, in its `response_metadata`."""
ID = "semcache_id"
"""Where a fresh answer of a twin holds the id it is stored under."""

Generations = list[Generation]
G = TypeVar("G", bound=Generation)
M = TypeVar("M", bound=BaseModel)


class GenerationsCodec:
    """A list of generations: text or chat, with tool calls, metadata and usage."""

    name = "langchain"

    def encode(self, answer: Sequence[Generation]) -> bytes:
        """Raises `PayloadError` for what does not come back equal."""
        plain = [_storable(generation) for generation in answer]
        data = json.dumps([dumps(generation) for generation in plain]).encode()
        if self.decode(data) != plain:
            raise PayloadError("the answer does not survive LangChain's own serialisation")
        return data

    def decode(self, data: bytes) -> Generations:
        """Fresh objects, which the caller may change."""
        return [fresh(generation) for generation in _revived(data)]

    def text(self, data: bytes) -> str:
        """The first generation's text, or its tool calls as JSON."""
        first = _revived(data)[0]
        if first.text or not isinstance(first, ChatGeneration):
            return first.text
        return json.dumps(getattr(first.message, "tool_calls", []), ensure_ascii=False)


CODEC = GenerationsCodec()
_revive = Reviver(ALLOWED)


@lru_cache(maxsize=4096)
def _revived(data: bytes) -> tuple[Generation, ...]:
    """Shared between hits, so nobody may change these: `fresh` copies them."""
    try:
        found = [_revive(text) for text in json.loads(data)]
    except Exception as error:
        raise PayloadError(f"LangChain cannot read the stored answer: {error!r}") from error
    if not found or not all(isinstance(one, Generation) for one in found):
        raise PayloadError("the stored answer is not a list of generations")
    return tuple(found)


def _storable(generation: Generation) -> Generation:
    """Without its id, and with a parsed object as the JSON it was parsed from."""
    if not isinstance(generation, ChatGeneration):
        return generation
    message = generation.message
    extras = message.additional_kwargs
    parsed = extras.get("parsed")
    if callable(getattr(parsed, "model_dump", None)):
        extras = extras | {"parsed": _parsed(message.content, parsed)}
    metadata = {k: v for k, v in message.response_metadata.items() if k not in (MARK, ID)}
    changed = {"id": None, "additional_kwargs": extras, "response_metadata": metadata}
    return generation.model_copy(update={"message": message.model_copy(update=changed)})


def _parsed(content: Any, parsed: Any) -> Any:
    try:
        return json.loads(content)
    except (TypeError, ValueError):
        return parsed.model_dump(mode="json", by_alias=True)


def fresh(generation: G) -> G:
    """A copy that shares nothing mutable with the original; much cheaper than `deepcopy`."""
    made = _unshared(generation)
    if isinstance(generation, ChatGeneration):
        made.__dict__["message"] = _unshared(generation.message)
    return made


def _unshared(model: M) -> M:
    """Not `model_copy(update=...)`, which for messages looks at each name: on every hit's way."""
    made = copy(model)
    fields = made.__dict__
    for name, value in fields.items():
        if isinstance(value, dict | list):
            fields[name] = _copied(value)
    return made


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


def served(generations: Sequence[Generation], mark: dict[str, Any]) -> None:
    """Make stored chat answers new messages: no id, no spending, fresh call ids, marked as a hit.

    A plain `Generation` is left as it is, since a `BaseCache` must return what it was given; a twin
    marks its `generation_info`.
    """
    for generation in generations:
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            _serve(generation.message, mark)


def named_anew(generations: Sequence[Generation]) -> None:
    """Ids of LangChain's form: it gives one to each answer, but to none from a `BaseCache`."""
    run = f"{LC_ID_PREFIX}-{fresh_uuid()}"
    for number, generation in enumerate(generations):
        if isinstance(generation, ChatGeneration):
            generation.message.id = f"{run}-{number}"


def _serve(message: AIMessage, mark: dict[str, Any]) -> None:
    message.id = None  # LangChain gives a fresh one; LangGraph would replace by an old one
    spent = message.usage_metadata
    message.response_metadata[MARK] = mark | {"usage": spent}
    if spent is not None:
        message.usage_metadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    if message.tool_calls or message.invalid_tool_calls:
        _renumber(message)


def _renumber(message: AIMessage) -> None:
    """Fresh ids for the calls wherever the provider's message repeats them."""
    ids: dict[str, str] = {}
    parts: list[Any] = [message.tool_calls, message.invalid_tool_calls, message.content]
    parts.append(message.additional_kwargs.get("tool_calls"))
    if isinstance(message, AIMessageChunk):
        parts.append(message.tool_call_chunks)
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    for call in calls:
        if call["id"]:
            ids[call["id"]] = f"call_{fresh_uuid().hex[:24]}"
    for part in parts:
        for item in part if isinstance(part, list) else ():
            _rename(item, ids)


def _rename(item: Any, ids: dict[str, str]) -> None:
    if isinstance(item, dict):
        for key in ("id", "call_id"):
            if item.get(key) in ids:
                item[key] = ids[item[key]]


def tokens(generations: Sequence[Generation]) -> int:
    """Tokens the model spent, as it reported them; 0 when it did not."""
    usages = [
        generation.message.usage_metadata
        for generation in generations
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage)
    ]
    return max((usage["total_tokens"] for usage in usages if usage), default=0)


def calls_tools(generations: Sequence[Generation]) -> bool:
    """Whether any of the answers asks for a tool."""
    return any(
        bool(getattr(generation.message, "tool_calls", None))
        or bool(getattr(generation.message, "invalid_tool_calls", None))
        or "function_call" in generation.message.additional_kwargs
        for generation in generations
        if isinstance(generation, ChatGeneration)
    )


def unfit(generations: Sequence[Generation]) -> str:
    """Why these answers must not be stored, whatever the turn; empty if they may."""
    if not generations:
        return "empty answer"
    return next(filter(None, map(_unfit, generations)), "")


def _unfit(generation: Generation) -> str:
    chat = generation if isinstance(generation, ChatGeneration) else None
    metadata = chat.message.response_metadata if chat else {}
    info = {**metadata, **(generation.generation_info or {})}
    ended = str(info.get("finish_reason") or info.get("stop_reason") or info.get("done_reason"))
    if ended in _CUT_SHORT:
        return "cut short"
    if chat and getattr(chat.message, "invalid_tool_calls", None):
        return "a tool call that cannot be read"
    if ended in _FILTERED or (chat and chat.message.additional_kwargs.get("refusal")):
        return "filtered or refused"
    empty = not generation.text.strip() and not (chat and chat.message.content)
    return "empty answer" if empty and not calls_tools([generation]) else ""
