"""`/v1/responses`: cached where the provider keeps nothing of it (`store: false`).

A response that the provider keeps can be gone on with by its id, listed and deleted there; one
handed out twice would tie callers together, and one under a new id could not be gone on with. So a
request is passed on that is stored, that goes on with something stored, or whose tools the provider
runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from semcache_core.server import sse
from semcache_core.server.endpoints._response_events import events_of
from semcache_core.server.messages import Split, split
from semcache_core.server.pieces import new_id
from semcache_core.server.plans import NotUnderstood, Place, Plan, planned

_STATE = ("previous_response_id", "conversation", "background", "prompt")
_OWN_TOOLS = ("function", "custom")  # those that the caller runs
_LAST = ("response.completed", "response.incomplete", "response.failed", "error")
_CALLS = ("function_call", "custom_tool_call")
_KNOWN = ("message", "reasoning", *_CALLS)


class Responses:
    """Input items in, output items out."""

    kind = "openai.response"
    path = "/responses"
    tells_usage = False

    def plan(self, body: Mapping[str, Any], place: Place) -> Plan:
        """Raises `NotUnderstood` for input in another form."""
        if why := _stateful(body):
            return Plan(None, why)
        given = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if not isinstance(items, list) or not items:
            raise NotUnderstood("the request has no input")
        try:
            found: Split = split(items, place.templates)
        except (TypeError, AttributeError) as error:
            raise NotUnderstood("the input is not a list of items") from error
        return planned(self.kind, body, "input", found, place)

    def ends(self, event: bytes) -> bool:
        if not any(name.encode() in event for name in _LAST):  # cheaper than to read each
            return False
        try:
            value = sse.read(event)
        except ValueError:
            return False
        return value is not None and value.get("type") in _LAST

    def join(self, events: Sequence[bytes]) -> dict[str, Any]:
        """The last event holds it all; raises `ValueError` for a stream that did not complete."""
        last = sse.read(events[-1]) if events else None
        response = last.get("response") if last and last.get("type") == _LAST[0] else None
        if not isinstance(response, dict):
            raise ValueError("the stream did not complete")
        return response

    def replay(self, answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[bytes]:
        for number, event in enumerate(events_of(answer)):
            told = {"type": event["type"], "sequence_number": number, **event}
            yield sse.write(told, event["type"])

    def fresh(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        now = int(time.time())
        timed = {"created_at": now} | ({"completed_at": now} if "completed_at" in answer else {})
        output = [_renumbered(one) for one in answer["output"]]
        return {**answer, **timed, "id": new_id("resp_"), "output": output}

    def unfit(self, answer: Mapping[str, Any]) -> str:
        output = answer.get("output")
        if answer.get("status") != "completed" or not isinstance(output, list):
            return "unfinished"
        if not all(isinstance(one, dict) and one.get("type") in _KNOWN for one in output):
            return "the provider ran a tool"
        parts = [part for one in output for part in _content(one)]
        if any(part.get("type") == "refusal" for part in parts):
            return "filtered or refused"
        said = any(str(part.get("text") or "").strip() for part in parts)
        return "" if said or self.calls_tools(answer) else "empty answer"

    def calls_tools(self, answer: Mapping[str, Any]) -> bool:
        return any(one.get("type") in _CALLS for one in answer.get("output") or ())

    def text(self, answer: Mapping[str, Any]) -> str:
        """The messages' text, or the tool calls as JSON."""
        output = answer.get("output") or ()
        said = "".join(str(part.get("text") or "") for one in output for part in _content(one))
        calls = [one for one in output if one.get("type") in _CALLS]
        return said or json.dumps(calls, ensure_ascii=False)


def _stateful(body: Mapping[str, Any]) -> str:
    if body.get("store") is not False:
        return "the provider keeps the response: store is not false"
    for name in _STATE:
        if body.get(name):
            return f"{name}: the answer depends on what the provider keeps"
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if kind not in _OWN_TOOLS:
            return f"the provider runs a tool ({kind})"
    return ""


def _content(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = item.get("content") if item.get("type") == "message" else None
    return [part for part in content or () if isinstance(part, Mapping)]


def _renumbered(item: Mapping[str, Any]) -> dict[str, Any]:
    """A new id for a call; a reasoning item keeps its own, to which its content is bound."""
    if item.get("type") in _CALLS and item.get("call_id"):
        return {**item, "call_id": new_id("call_")}
    return dict(item)
