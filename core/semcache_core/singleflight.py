"""Coalescing: of identical prompts in flight at once, one asks the model and the others wait.

The waiters do not take the leader's object: they look into the cache again, so each gets an answer
of its own and nobody's mutation reaches another. A failed leader's waiters elect a new one; who has
waited in vain for `PATIENCE` seconds asks alone, so that an outage does not make a queue. When a
task that leads is cancelled, its call goes on while anybody waits for it, and an answer that has
arrived is stored in any case. Rejected: the waiters ask anew, for what is being paid for already.

Nobody waits for what cannot go on while they wait. A caller that would block its thread does not
wait for a leader further down its own stack, nor for one on the event loop that it blocks or whose
pool it belongs to (the leader may need a thread of that pool); a model that asks itself the same
through the same cache leads a flight of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Overdue
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from functools import partial
from threading import Lock, current_thread, get_ident
from typing import Any, TypeVar

from semcache_core.forks import ForkedChild
from semcache_core.models import Miss, Prompt, Query
from semcache_core.steps import Flow, Step, arun, run

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds that a caller waits in vain: for leaders that fail, or for an event loop's leader."""
_POOL = "asyncio_"  # how CPython names the threads of an event loop's default pool
_led: ContextVar[frozenset[int]] = ContextVar("semcache_led", default=frozenset())


class Landing(Enum):
    """How a flight ended."""

    STORED = "stored"
    NOT_STORED = "not stored"
    """The answer may not be kept, so waiting for another leader is of no use."""
    FAILED = "failed"


class Flight:
    """One call to the model that others may wait for."""

    def __init__(self, miss: Miss | None = None) -> None:
        self.miss = miss
        """The lookup that led to it, for those who ask something similar."""
        self.withdraw: Callable[[], None] = lambda: None
        """Takes the flight off the list of those that newcomers wait for."""
        self._landing: Future[Landing] = Future()
        self._thread = get_ident()
        self._on_loop = _loop_runs()
        self._wanting = 1
        self._gate = Lock()
        self._drop: Callable[[], object] | None = None

    def land(self, landing: Landing) -> None:
        """Wake the waiters, new callers start another flight; a second landing says nothing new."""
        if not self._landing.done():
            self.paid()
            self.withdraw()
            self._landing.set_result(landing)

    def wait(self) -> Flow[Landing]:
        """Until the leader landed; a cancelled waiter leaves the flight as it is."""
        with self._gate:
            self._wanting += 1
        try:
            landing: Landing = yield Step(self._blocking, self._waiting)
        finally:
            self._leave()
        return landing

    def paid(self) -> None:
        """The answer has arrived: from here on nobody's leaving ends the call."""
        with self._gate:
            self._drop = None

    def carried(self, led: Flow[T]) -> Flow[T]:
        """The leader's work, which goes on while others want it, though its asker is cancelled."""
        result: T = yield Step(lambda: self._run(led), lambda: self._carried(led))
        return result

    def lead(self, ask: Callable[[], T]) -> Callable[[], T]:
        """The leader's call, which may come back to this flight from inside."""

        def led() -> T:
            token = _led.set(_led.get() | {id(self)})
            try:
                return ask()
            finally:
                _led.reset(token)

        return led

    def alead(self, ask: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """As `lead`, on the event loop."""

        async def led() -> T:
            token = _led.set(_led.get() | {id(self)})
            try:
                return await ask()
            finally:
                _led.reset(token)

        return led

    def _run(self, led: Flow[T]) -> T:
        try:
            return run(led)
        finally:
            self.land(Landing.FAILED)  # if it has not landed

    async def _carried(self, led: Flow[T]) -> T:
        task, loop = asyncio.ensure_future(arun(led)), asyncio.get_running_loop()
        _carrying.add(task)
        task.add_done_callback(_carried_home)
        task.add_done_callback(lambda _: self.land(Landing.FAILED))
        self._drop = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done() and self._leave():
                await asyncio.wait([task])  # the model's own clean-up comes before the asker's
            raise

    def _leave(self) -> bool:
        """One who wants the answer less; whether that ends the call."""
        with self._gate:
            self._wanting -= 1
            drop = self._drop if self._wanting == 0 else None
        if drop is not None:
            with suppress(RuntimeError):  # its event loop is closed, and the call with it
                drop()
        return drop is not None

    def _blocking(self) -> Landing:
        if self._thread == get_ident():
            return Landing.NOT_STORED
        if not self._on_loop:
            return self._landing.result()
        if current_thread().name.startswith(_POOL):
            return Landing.NOT_STORED
        try:
            return self._landing.result(PATIENCE)
        except Overdue:  # its loop may be waiting for us in a way that cannot be seen
            return Landing.NOT_STORED

    async def _waiting(self) -> Landing:
        return await asyncio.shield(asyncio.wrap_future(self._landing))


class Flights(ForkedChild):
    """The flights of one cache, by key."""

    def __init__(self) -> None:
        self.in_forked_child()
        self.watch_forks()

    def in_forked_child(self) -> None:
        """Nobody lands here what the parent has in the air."""
        self._flights: dict[str, Flight] = {}
        self._lock = Lock()

    def board(self, key: str, miss: Miss | None = None) -> tuple[Flight, bool]:
        """The flight of this key, and whether the caller leads it (and must let it land)."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return (Flight(), True) if id(flight) in _led.get() else (flight, False)
            made = self._flights[key] = Flight(miss)
            made.withdraw = partial(self._withdraw, key, made)
            return made, True

    def of_scope(self, scope: str) -> dict[str, tuple[Flight, Query, Prompt]]:
        """The flights, by key, whose prompts may be answered by one another's answers."""
        with self._lock:
            flying = list(self._flights.items())
        return {
            key: (flight, flight.miss.query, flight.miss.prompt)
            for key, flight in flying
            if flight.miss is not None
            and flight.miss.query is not None
            and flight.miss.prompt.scope == scope
        }

    def _withdraw(self, key: str, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def __len__(self) -> int:
        return len(self._flights)


_carrying: set[asyncio.Task[Any]] = set()
"""An event loop holds its tasks by weak references only."""


def _carried_home(task: asyncio.Task[Any]) -> None:
    _carrying.discard(task)
    if not task.cancelled():
        task.exception()  # its asker may be gone; who is left asks anew, and sees an error then


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
