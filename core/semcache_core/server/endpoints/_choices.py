"""Answers with choices, whole and in chunks: what chat and plain completions have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from semcache_core.server import sse
from semcache_core.server.merging import add
from semcache_core.server.pieces import new_id
from semcache_core.server.plans import wants_usage

Part = Callable[[dict[str, Any]], dict[str, Any]]
Parts = Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]
_CUT_SHORT = {"length", "max_tokens", "model_length"}
_FILTERED = {"content_filter", "refusal", "safety", "blocklist"}
# Fields of a chunk that are not the answer's as they are; the last one is padding.
_OF_EACH = ("object", "choices", "usage", "obfuscation")


def chunks_of(events: Sequence[bytes]) -> list[dict[str, Any]]:
    """The objects in a stream's events; raises `ValueError` for an error among them, or none."""
    found = [value for event in events if (value := sse.read(event)) is not None]
    if not found:
        raise ValueError("the stream brought no chunk")
    if any("error" in one for one in found):
        raise ValueError("the stream holds an error")
    return found


def head_of(chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the chunks say beside their choices, the newest word of each field."""
    head: dict[str, Any] = {}
    for chunk in chunks:
        head |= {k: v for k, v in chunk.items() if k not in _OF_EACH and v is not None}
    return head


def usage_of(chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The stream's usage as a field of the answer; none if it was not told."""
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return {"usage": told[-1]} if told else {}


def choices_of(chunks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The chunks' choices joined, by index, each with its `delta` joined; raises `ValueError`."""
    found: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for part in chunk.get("choices") or ():
            add(found.setdefault(part.get("index", 0), {}), {"index": 0, **part})
    return [found[index] for index in sorted(found)]


def unfit(answer: Mapping[str, Any]) -> str:
    """Why no answer of these choices is kept, whatever they say; empty if they may be."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or answer.get("error"):
        return "no answer"
    for choice in choices:
        ended = choice.get("finish_reason")
        if ended in _CUT_SHORT:
            return "cut short"
        if ended in _FILTERED:
            return "filtered or refused"
        if not ended:
            return "unfinished"
    return ""


def renewed(answer: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The answer under a new id, made now."""
    return {**answer, "id": new_id(prefix), "created": int(time.time())}


def joined(events: Sequence[bytes], kind: str, whole: Part) -> dict[str, Any]:
    """A stream's events as an answer of this kind; raises `ValueError` when they make none."""
    chunks = chunks_of(events)
    choices = [whole(one) for one in choices_of(chunks)]
    return {**head_of(chunks), "object": kind, "choices": choices, **usage_of(chunks)}


def replayed(
    answer: Mapping[str, Any], body: Mapping[str, Any], kind: str, parts: Parts
) -> Iterator[bytes]:
    """An answer as the events of a stream; `parts` takes a choice apart."""
    wanted, usage = wants_usage(body), answer.get("usage")
    head = {k: v for k, v in answer.items() if k not in ("choices", "usage")} | {"object": kind}
    more = {"usage": None} if wanted else {}
    for choice in answer["choices"]:
        for part in parts(choice):
            yield sse.write({**head, "choices": [part], **more})
    if wanted and usage:
        yield sse.write({**head, "choices": [], "usage": usage})
    yield sse.DONE
