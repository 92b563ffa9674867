"""Get or compute for several prompts of which the model takes all misses in one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Generic, TypeVar

from semcache_core.asking import Asked, Call, asking
from semcache_core.control import Control
from semcache_core.errors import OfflineMiss
from semcache_core.models import Miss, Outcome, Prompt, Reason
from semcache_core.serving import Serving
from semcache_core.singleflight import Flight, Landing
from semcache_core.steps import Flow, step

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calls(Generic[T]):
    """How a model is asked for several prompts, by their places in the list."""

    sync: Callable[[list[int]], list[T]]
    asynchronous: Callable[[list[int]], Awaitable[list[T]]]
    alone: Callable[[int], Call[T]]
    """The rules for one of them, and how it is asked by itself."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    number: int
    miss: Miss | None
    """None for a prompt that cannot be cached."""
    flight: Flight | None = None


def asking_all(
    cache: Serving, prompts: Sequence[Prompt | None], calls: Calls[T], control: Control
) -> Flow[list[Asked[T]]]:
    """Serve what is stored, ask for the rest at once, then wait for what others are asking for.

    Nobody is waited for while a flight is held, so two lists in flight cannot wait for each other.
    """
    batch = _Batch(cache, calls, control)
    try:
        for number, prompt in enumerate(prompts):
            yield from batch.look(number, prompt)
        yield from batch.fetch()
    finally:
        batch.land_all()
    for number, prompt in enumerate(prompts):
        if number not in batch.found:
            alone = calls.alone(number)
            batch.found[number] = yield from asking(cache, prompt, alone, control)
    return [batch.found[number] for number in range(len(prompts))]


@dataclass(frozen=True, slots=True)
class _Batch(Generic[T]):
    cache: Serving
    calls: Calls[T]
    control: Control
    found: dict[int, Asked[T]] = field(default_factory=dict)
    wanted: list[_Wanted] = field(default_factory=list)

    def look(self, number: int, prompt: Prompt | None) -> Flow[None]:
        """Find a prompt's answer, or put it on the list of those to ask for."""
        if prompt is None or not self.control.on:
            self.wanted.append(_Wanted(number, None))
            return
        started = perf_counter()
        codec = self.calls.alone(number).codec
        outcome: Outcome = yield from self.cache.looking(prompt, codec, self.control)
        flight = None
        if self._shared(outcome):
            flight, leads = self.cache.flights.board(prompt.key)
            if not leads:
                return
            # Somebody may have landed between the look and the boarding.
            outcome = self.cache.glance(prompt, codec, self.control) or outcome
        self._settle(number, outcome, flight)
        self.cache.note(outcome, self.control, perf_counter() - started)

    def _shared(self, outcome: Outcome) -> bool:
        """Whether others who ask the same now may have this answer, or this one theirs."""
        skipped = outcome.reason is Reason.SKIPPED
        return isinstance(outcome, Miss) and not skipped and self.cache.coalesces(self.control)

    def _settle(self, number: int, outcome: Outcome, flight: Flight | None) -> None:
        if isinstance(outcome, Miss):
            self.wanted.append(_Wanted(number, outcome, flight))
            return
        self.found[number] = Asked(outcome.answer, outcome)
        if flight is not None:
            flight.land(Landing.STORED)

    def fetch(self) -> Flow[None]:
        """Ask the model for all that nobody has, and store it."""
        if not self.wanted:
            return
        if self.control.offline:
            raise OfflineMiss(f"offline, and {len(self.wanted)} of the prompts are not stored")
        answers = yield from step(*self._ask())
        for one, answer in zip(self.wanted, answers, strict=True):
            self.found[one.number] = Asked(answer, one.miss)
        for one, answer in zip(self.wanted, answers, strict=True):
            if one.miss is not None:
                yield from self._store(one, one.miss, answer)

    def _ask(self) -> tuple[Callable[[], list[T]], Callable[[], Awaitable[list[T]]]]:
        numbers = [one.number for one in self.wanted]
        sync: Callable[[], list[T]] = partial(self.calls.sync, numbers)
        asynchronous: Callable[[], Awaitable[list[T]]] = partial(self.calls.asynchronous, numbers)
        for one in self.wanted:
            if one.flight is not None:
                sync, asynchronous = one.flight.lead(sync), one.flight.alead(asynchronous)
        return sync, asynchronous

    def _store(self, one: _Wanted, miss: Miss, answer: T) -> Flow[None]:
        alone = self.calls.alone(one.number)
        how = alone.rules() | {"miss": miss}
        stored = yield from self.cache.saving(miss.prompt, answer, alone.codec, self.control, **how)
        self._land(one, Landing.STORED if stored else Landing.NOT_STORED)

    def land_all(self) -> None:
        """Nobody may go on waiting for what this batch did not bring."""
        for one in self.wanted:
            self._land(one, Landing.FAILED)

    def _land(self, one: _Wanted, landing: Landing) -> None:
        if one.flight is not None:
            one.flight.land(landing)
