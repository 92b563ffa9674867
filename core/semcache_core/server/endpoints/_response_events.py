"""A whole response as the events that a stream of it would have brought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from semcache_core.server.pieces import pieces

Event = dict[str, Any]


def events_of(response: Mapping[str, Any]) -> Iterator[Event]:
    """Without sequence numbers: created, in progress, each item's, completed."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    begun |= {"completed_at": None} if "completed_at" in response else {}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        where = {"output_index": index, "item_id": item.get("id", "")}
        added = {"type": "response.output_item.added", "output_index": index}
        yield {**added, "item": _empty(item)}
        yield from _inside(item, where)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": dict(response)}


def _empty(item: Mapping[str, Any]) -> Event:
    """The item as it is announced: what the next events bring is not there yet."""
    hidden = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {name: empty for name, empty in hidden.items() if name in item}
    status = {"status": "in_progress"} if "status" in item else {}
    return {**item, **begun, **status}


def _inside(item: Mapping[str, Any], where: Mapping[str, Any]) -> Iterator[Event]:
    kind = item.get("type")
    if kind == "function_call":
        yield from _told("function_call_arguments", "arguments", item.get("arguments", ""), where)
    elif kind == "custom_tool_call":
        yield from _told("custom_tool_call_input", "input", item.get("input", ""), where)
    elif kind == "reasoning":
        for number, part in enumerate(item.get("summary") or ()):
            yield from _part("reasoning_summary", part, {**where, "summary_index": number})
    else:
        for number, part in enumerate(item.get("content") or ()):
            yield from _part("", part, {**where, "content_index": number})


def _told(name: str, field: str, text: str, where: Mapping[str, Any]) -> Iterator[Event]:
    yield {"type": f"response.{name}.delta", **where, "delta": text}
    yield {"type": f"response.{name}.done", **where, field: text}


def _part(kind: str, part: Mapping[str, Any], where: Mapping[str, Any]) -> Iterator[Event]:
    """A part of a message or of a summary; its text in pieces."""
    family = f"{kind}_part" if kind else "content_part"
    text_of = f"{kind}_text" if kind else "output_text"
    more: dict[str, Any] = {} if kind else {"logprobs": []}
    text = str(part.get("text") or "")
    yield {"type": f"response.{family}.added", **where, "part": {**part, **_bare(part)}}
    for piece in pieces(text):
        yield {"type": f"response.{text_of}.delta", **where, "delta": piece, **more}
    for number, note in enumerate(part.get("annotations") or ()):
        noted = {"annotation_index": number, "annotation": note}
        yield {"type": "response.output_text.annotation.added", **where, **noted}
    done = more and {"logprobs": part.get("logprobs") or []}
    yield {"type": f"response.{text_of}.done", **where, "text": text, **done}
    yield {"type": f"response.{family}.done", **where, "part": dict(part)}


def _bare(part: Mapping[str, Any]) -> dict[str, Any]:
    empty = {"text": "", "annotations": [], "logprobs": []}
    return {name: value for name, value in empty.items() if name in part}
