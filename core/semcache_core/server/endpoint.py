"""The seam between the proxy, which knows no format, and the formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from semcache_core.server.plans import Place, Plan

Answer = Mapping[str, Any]
"""A whole answer: the JSON object that a request without `stream` is sent."""


class Endpoint(Protocol):
    """One kind of request. Stateless; every method is pure but for new ids and the time."""

    @property
    def kind(self) -> str:
        """The codec's name: answers of one kind never answer another."""

    @property
    def path(self) -> str:
        """Behind `/v1`, and behind the upstream's URL."""

    @property
    def tells_usage(self) -> bool:
        """Whether streams of it tell their usage only when asked to (`stream_options`)."""

    def plan(self, body: Mapping[str, Any], place: Place) -> Plan:
        """The request's key and rules; raises `NotUnderstood` for what is to be passed on."""

    def ends(self, event: bytes) -> bool:
        """Whether this event is a stream's last."""

    def join(self, events: Sequence[bytes]) -> dict[str, Any]:
        """All events of a stream into the answer; raises `ValueError` when they do not make one."""

    def replay(self, answer: Answer, body: Mapping[str, Any]) -> Iterator[bytes]:
        """A stored answer as the events that this request is sent."""

    def fresh(self, answer: Answer) -> dict[str, Any]:
        """A stored answer as a new one: with its own ids and time."""

    def unfit(self, answer: Answer) -> str:
        """Why this answer may not be kept (cut short, filtered, empty); empty if it may."""

    def calls_tools(self, answer: Answer) -> bool:
        """Whether the answer asks for a tool."""

    def text(self, answer: Answer) -> str:
        """What the answer says, for people and judges."""
