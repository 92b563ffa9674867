"""`/v1/chat/completions`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from semcache_core.server import sse
from semcache_core.server.endpoints import _choices as common
from semcache_core.server.messages import split
from semcache_core.server.pieces import new_id, pieces
from semcache_core.server.plans import NotUnderstood, Place, Plan, planned


class Chat:
    """Messages in, choices with a message each out."""

    kind = "openai.chat"
    path = "/chat/completions"
    tells_usage = True

    def plan(self, body: Mapping[str, Any], place: Place) -> Plan:
        """Raises `NotUnderstood` for what are no messages."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise NotUnderstood("the request has no messages")
        try:
            found = split(messages, place.templates)
        except (TypeError, AttributeError) as error:
            raise NotUnderstood("the messages are not in the form of a chat") from error
        return planned(self.kind, body, "messages", found, place)

    def ends(self, event: bytes) -> bool:
        return sse.is_done(event)

    def join(self, events: Sequence[bytes]) -> dict[str, Any]:
        """Raises `ValueError`."""
        return common.joined(events, "chat.completion", _whole)

    def replay(self, answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[bytes]:
        return common.replayed(answer, body, "chat.completion.chunk", _parts)

    def fresh(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        choices = [_renumbered(one) for one in answer["choices"]]
        return common.renewed({**answer, "choices": choices}, "chatcmpl-")

    def unfit(self, answer: Mapping[str, Any]) -> str:
        if why := common.unfit(answer):
            return why
        return next(filter(None, (_unfit(_message(one)) for one in answer["choices"])), "")

    def calls_tools(self, answer: Mapping[str, Any]) -> bool:
        return any(_calls(_message(one)) for one in answer.get("choices") or ())

    def text(self, answer: Mapping[str, Any]) -> str:
        """The first choice's text, or its tool calls as JSON."""
        choices = answer.get("choices") or [{}]
        message = _message(choices[0])
        content = message.get("content")
        if content:
            return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return json.dumps(_calls(message) or [], ensure_ascii=False)


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message = choice.get("message")
    return message if isinstance(message, Mapping) else {}


def _calls(message: Mapping[str, Any]) -> Any:
    return message.get("tool_calls") or message.get("function_call")


def _unfit(message: Mapping[str, Any]) -> str:
    if message.get("refusal"):
        return "filtered or refused"
    if message.get("audio"):  # known to the provider by an id that expires
        return "audio"
    content = message.get("content")
    empty = not (content.strip() if isinstance(content, str) else content)
    return "empty answer" if empty and not _calls(message) else ""


def _whole(choice: dict[str, Any]) -> dict[str, Any]:
    """A joined choice as a request without `stream` has it: calls are in order, not numbered."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    message |= choice.pop("delta", None) or {}
    calls = message.get("tool_calls")
    if calls:
        message["tool_calls"] = [{k: v for k, v in c.items() if k != "index"} for c in calls]
    return {"index": choice.pop("index", 0), "message": message, **choice}


def _renumbered(choice: Mapping[str, Any]) -> dict[str, Any]:
    """With new ids for its calls: in one conversation no two may have the same."""
    message = dict(_message(choice))
    if message.get("tool_calls"):
        message["tool_calls"] = [{**one, "id": new_id("call_")} for one in message["tool_calls"]]
    return {**choice, "message": message}


def _parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A choice as its chunks'; those that say no more have no reason to have ended."""
    place = {"index": choice.get("index", 0), "logprobs": None, "finish_reason": None}
    for part in _deltas(choice):
        yield {**place, **part}


def _deltas(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The role, the rest of the message, texts in pieces, calls, the end."""
    message = dict(_message(choice))
    content, calls = message.pop("content", None), message.pop("tool_calls", None)
    yield {"delta": {"role": message.pop("role", "assistant"), "content": ""}}
    if others := {name: value for name, value in message.items() if value}:
        yield {"delta": others}
    if choice.get("logprobs"):  # they belong to tokens, whose borders are not known here
        yield {"delta": {"content": content or ""}, "logprobs": choice["logprobs"]}
    else:
        texts = pieces(content) if isinstance(content, str) else [content] if content else ()
        yield from ({"delta": {"content": text}} for text in texts)
    for number, call in enumerate(calls or ()):
        yield from _call_parts(number, call)
    last = {k: v for k, v in choice.items() if k not in ("index", "message", "logprobs")}
    yield {"delta": {}, **last}


def _call_parts(number: int, call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A call's name first, then its arguments, as providers send them."""
    function = call.get("function")
    if not isinstance(function, Mapping):
        yield {"delta": {"tool_calls": [{"index": number, **call}]}}
        return
    begun = {"index": number, **call, "function": {**function, "arguments": ""}}
    yield {"delta": {"tool_calls": [begun]}}
    arguments = {"index": number, "function": {"arguments": function.get("arguments", "")}}
    yield {"delta": {"tool_calls": [arguments]}}
