"""Get or compute: the one flow by which every adapter asks a model through the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Generic, TypeVar

from semcache_core.control import SWITCHED_OFF, UNKEYED, Control
from semcache_core.errors import OfflineMiss
from semcache_core.models import Hit, Miss, Outcome, Prompt, Reason
from semcache_core.protocols import Codec
from semcache_core.serving import Rules, Serving
from semcache_core.singleflight import PATIENCE, Flight, Landing
from semcache_core.steps import Flow, step

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Rules[T]):
    """How a model is asked, and what its answer is to the cache."""

    codec: Codec[T]
    sync: Callable[[], T]
    asynchronous: Callable[[], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """An answer and where it came from; `outcome` is None when the prompt cannot be cached."""

    answer: T
    outcome: Outcome | None

    @property
    def hit(self) -> Hit | None:
        return self.outcome if isinstance(self.outcome, Hit) else None


def asking(
    cache: Serving, prompt: Prompt | None, call: Call[T], control: Control
) -> Flow[Asked[T]]:
    """Serve a stored answer, or ask the model (once for all who ask the same now) and store it."""
    if prompt is None or not control.on:
        control.past(UNKEYED if prompt is None else SWITCHED_OFF)
        answer = yield from step(call.sync, call.asynchronous)
        return Asked(answer, None)
    started = perf_counter()
    while True:
        outcome = yield from cache.looking(prompt, call.codec, control)
        if isinstance(outcome, Hit) or not cache.coalesces(control):
            break
        if outcome.reason is Reason.SKIPPED or perf_counter() - started > PATIENCE:
            break  # who wants an answer of their own does not wait for another's
        similar = yield from cache.similar_flight(outcome)
        if similar is not None and (yield from similar.wait()) is Landing.STORED:
            continue
        flight, leads = cache.flights.board(prompt.key, outcome)
        if leads:
            led = _lead(cache, call, control, miss=outcome, flight=flight, started=started)
            return (yield from flight.carried(led))
        if (yield from flight.wait()) is Landing.NOT_STORED:
            break
    cache.note(outcome, control, perf_counter() - started)
    if isinstance(outcome, Hit):
        return Asked(outcome.answer, outcome)
    answer = yield from _asked(call, control, outcome)
    yield from _keeping(cache, call, control, outcome, answer)
    return Asked(answer, outcome)


def _lead(
    cache: Serving,
    call: Call[T],
    control: Control,
    *,
    miss: Miss,
    flight: Flight,
    started: float,
) -> Flow[Asked[T]]:
    # Somebody may have landed between this caller's look and its boarding.
    outcome = cache.glance(miss.prompt, call.codec, control) or miss
    cache.note(outcome, control, perf_counter() - started)
    if isinstance(outcome, Hit):
        flight.land(Landing.STORED)
        return Asked(outcome.answer, outcome)
    led = replace(call, sync=flight.lead(call.sync), asynchronous=flight.alead(call.asynchronous))
    answer = yield from _asked(led, control, outcome)
    flight.paid()
    stored = yield from _keeping(cache, call, control, outcome, answer)
    flight.land(Landing.STORED if stored else Landing.NOT_STORED)
    return Asked(answer, outcome)


def _asked(call: Call[T], control: Control, miss: Miss) -> Flow[T]:
    if control.offline:
        raise OfflineMiss(f"offline, and nothing is stored: {miss.reason.value}. {miss.detail}")
    return (yield from step(call.sync, call.asynchronous))


def _keeping(cache: Serving, call: Call[T], control: Control, miss: Miss, answer: T) -> Flow[bool]:
    how = call.rules() | {"miss": miss}
    return (yield from cache.saving(miss.prompt, answer, call.codec, control, **how))
