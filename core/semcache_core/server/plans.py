"""What is done with a request: under which key, by meaning or exactly, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semcache_core.keys import make_prompt
from semcache_core.models import Prompt
from semcache_core.server.messages import Kind, Split
from semcache_core.server.templates import Template
from semcache_core.turns import Mode, Turns

# How an answer is delivered, and not what it says.
_DELIVERY = ("stream", "stream_options")


class NotUnderstood(Exception):
    """The upstream may understand this request; it is passed on and not cached."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request came in and where it goes: part of what must match exactly."""

    namespace: str
    exact: Any
    """The upstream, the path's query, and the headers that an answer may depend on."""
    turns: Turns
    ignored: tuple[str, ...]
    templates: tuple[Template, ...] = ()
    stream_usage: bool = True
    """Whether streams are always asked for their usage."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A request's key and the rules that hold for it."""

    prompt: Prompt | None
    why: str = ""
    """Why the cache is not asked, when `prompt` is None."""
    tool_calls: Mode = "off"
    """Whether an answer that calls tools is kept."""


def planned(kind: str, body: Mapping[str, Any], asked: str, found: Split, place: Place) -> Plan:
    """The plan of a conversation; `asked` is the field of the body that holds it."""
    forced = _forced(body)
    mode = _mode(found.kind, forced, bool(_tools(body)), place.turns)
    calls = place.turns.forced_tool if forced else place.turns.tool_calls
    if mode == "off":
        return Plan(None, f"{found.kind}: off")
    semantic = mode == "semantic" and found.question is not None
    rest = found.rest if semantic else found.whole
    prompt = make_prompt(
        kind=kind,
        exact=[place.exact, parameters(body, asked, place), rest],
        query=found.question if semantic else None,
        namespace=place.namespace,
        model=str(body.get("model") or ""),
        temperature=temperature(body),
        exact_only=found.why or ("" if semantic else f"{found.kind}: exact only"),
    )
    return Plan(prompt, tool_calls=calls)


def parameters(body: Mapping[str, Any], asked: str, place: Place) -> dict[str, Any]:
    """Everything in a request that an answer depends on, beside what is asked."""
    left_out = {asked, *_DELIVERY, *place.ignored}
    kept = {name: value for name, value in body.items() if name not in left_out}
    if wants_usage(body) and not place.stream_usage:
        kept["stream_options"] = body["stream_options"]
    return {name: value for name, value in kept.items() if value is not None}


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether the caller asked for a stream's usage."""
    options = body.get("stream_options")
    return bool(isinstance(options, Mapping) and options.get("include_usage"))


def temperature(body: Mapping[str, Any]) -> float | None:
    """The request's own, for caches that let it vary answers."""
    given = body.get("temperature")
    usable = isinstance(given, int | float) and not isinstance(given, bool)
    return float(given) if usable else None  # type: ignore[arg-type]  # a number: usable says so


def _tools(body: Mapping[str, Any]) -> list[Any]:
    given = body.get("tools") or body.get("functions")
    return given if isinstance(given, list) else []


def _forced(body: Mapping[str, Any]) -> bool:
    """Whether the one tool on offer is demanded: structured output by another name."""
    choice = body.get("tool_choice") or body.get("function_call")
    return len(_tools(body)) == 1 and bool(choice) and choice not in ("auto", "none")


def _mode(kind: Kind, forced: bool, offered: bool, turns: Turns) -> Mode:
    if kind == "after tools":
        return turns.after_tools
    if kind == "react":
        return turns.react
    if forced:
        return turns.forced_tool
    return turns.tools_offered if offered else turns.question
