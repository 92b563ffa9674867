"""Coalescing: of identical prompts in flight at once, one asks the model and the others wait.

The waiters do not take the leader's object: they look into the cache again, so each gets an answer
of its own and nobody's mutation reaches another. A failed leader's waiters elect a new one; who has
waited for two failures asks alone, so that an outage does not queue callers one behind another.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from enum import Enum
from threading import Lock

from semcache_core.steps import Flow, Step


class Landing(Enum):
    """How a flight ended."""

    STORED = "stored"
    NOT_STORED = "not stored"
    """The answer may not be kept, so waiting for another leader is of no use."""
    FAILED = "failed"


class Flight:
    """One call to the model that others may wait for."""

    def __init__(self) -> None:
        self._landing: Future[Landing] = Future()

    def land(self, landing: Landing) -> None:
        """Wake the waiters; a second landing says nothing new."""
        if not self._landing.done():
            self._landing.set_result(landing)

    def wait(self) -> Flow[Landing]:
        """Until the leader landed; a cancelled waiter leaves the flight as it is."""
        landing: Landing = yield Step(self._landing.result, self._waiting)
        return landing

    async def _waiting(self) -> Landing:
        return await asyncio.shield(asyncio.wrap_future(self._landing))


class Flights:
    """The flights of one cache, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._lock = Lock()

    def board(self, key: str) -> tuple[Flight, bool]:
        """The flight of this key, and whether the caller leads it (and must `land` it)."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            return self._flights.setdefault(key, Flight()), True

    def land(self, key: str, flight: Flight, landing: Landing) -> None:
        """End a flight that the caller leads. New callers start another from here on."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.land(landing)

    def __len__(self) -> int:
        return len(self._flights)
