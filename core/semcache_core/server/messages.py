"""A chat's messages split: the last user's text may be reworded, everything else must match.

What clients vary without changing the answer is normalised first: absent and empty fields, a
string against a single text part, and the random ids of tool calls, which are numbered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from semcache_core.server.templates import Template, question_in

Kind = Literal["question", "after tools", "react"]
_REACT = re.compile(r"^(?:Thought|Action|Observation):", re.MULTILINE)
_TEXTS = ("text", "input_text", "output_text")
_TEXT_KEYS = {"type", "text", "cache_control", "annotations", "logprobs"}
_NOISE = ("annotations",)  # of an earlier answer; nobody sends them back on purpose


@dataclass(frozen=True, slots=True)
class Split:
    """A conversation taken apart."""

    question: str | None
    rest: Any
    """Everything but the question, still saying where it stood."""
    whole: Any
    """All of it, for when only an exact match may hit."""
    kind: Kind = "question"
    why: str = ""
    """Why there is no question."""


def split(messages: Sequence[Mapping[str, Any]], templates: Sequence[Template] = ()) -> Split:
    """Find the question. Raises `TypeError` or `AttributeError` for what are no messages."""
    ids: dict[str, str] = {}
    plain = [_message(one, ids) for one in messages]
    places = [n for n, one in enumerate(plain) if one.get("role") == "user"]
    if not places:
        return Split(None, plain, plain, why="no user message")
    last = places[-1]
    tail = plain[last + 1 :]
    after_tools = any(_is_result(one) for one in tail)
    if tail and not after_tools:
        return Split(None, plain, plain, why="the last message is not the user's")
    text, others = _text_and_others(plain[last].get("content"))
    kind: Kind = "after tools" if after_tools else "question"
    if kind == "question" and _REACT.search(text):
        kind = "react"
    found = question_in(text, templates)
    if found is None:
        return Split(None, plain, plain, kind, "the last message is more than one paragraph")
    question, around = found
    user = {**plain[last], "content": [*around, *others]}
    return Split(question, [*plain[:last], user, *tail], plain, kind)


def _is_result(message: Mapping[str, Any]) -> bool:
    kind = str(message.get("type", ""))
    return message.get("role") in ("tool", "function") or kind.endswith("_output")


def _message(message: Mapping[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in message.items()
        if name not in _NOISE and value is not None and value not in ("", [])
    }
    if "content" in kept:
        kept["content"] = _content(kept["content"])
    if isinstance(kept.get("tool_calls"), list):
        kept["tool_calls"] = [_call(one, ids) for one in kept["tool_calls"]]
    for name in ("tool_call_id", "call_id"):
        if name in kept:
            kept[name] = _number(kept[name], ids)
    return kept


def _call(call: Mapping[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    kept = {name: value for name, value in call.items() if name != "index"}
    return {**kept, "id": _number(call.get("id"), ids)}


def _number(call_id: Any, ids: dict[str, str]) -> str:
    return ids.setdefault(str(call_id), f"call {len(ids)}")


def _content(content: Any) -> Any:
    """A lone text part is the string that it holds; a part may carry a hint for its cache."""
    if not isinstance(content, list):
        return content
    parts = [_part(one) for one in content]
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _part(part: Any) -> Any:
    text = isinstance(part, Mapping) and part.get("type") in _TEXTS and set(part) <= _TEXT_KEYS
    return part.get("text", "") if text else part


def _text_and_others(content: Any) -> tuple[str, list[Any]]:
    """The text of a message, and its images and files with the places of the text among them."""
    parts = content if isinstance(content, list) else [content]
    texts = [one for one in parts if isinstance(one, str)]
    marked = [{"text": n} if isinstance(one, str) else one for n, one in enumerate(parts)]
    return "\n".join(texts), marked if len(marked) > 1 or not texts else []
