"""Waiting, but not for long: the caller has an answer in hand that its user wants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from semcache_core.errors import StoreBusy, StoreError

PATIENCE = 1.0
"""Seconds that a write waits for somebody else's before it is given up: a lost answer costs one
call."""
QUEUE = 10.0
"""The same for the writes of this process, which take their turns as long as each succeeds."""


class Lock(Protocol):
    """What `threading.Lock` and `threading.RLock` have in common."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...

    def release(self) -> None: ...


@contextmanager
def within(lock: Lock, seconds: float) -> Iterator[None]:
    """Hold the lock. Raises `StoreBusy` if it is not free within `seconds`."""
    if not lock.acquire(timeout=seconds):
        raise StoreBusy(f"the store stayed busy: other writes took longer than {seconds:.1f} s")
    try:
        yield
    finally:
        lock.release()


class Queue:
    """The turns of this process's writers.

    When one has waited in vain for somebody else, those that stood behind it do not do so as well.
    """

    def __init__(self) -> None:
        self._vain = 0.0

    @contextmanager
    def turn(self, lock: Lock) -> Iterator[None]:
        """Hold the lock. Raises `StoreBusy`."""
        begun = time.monotonic()
        with within(lock, QUEUE):
            if self._vain > begun:
                raise StoreBusy("the store stayed busy: a write before this one waited in vain")
            try:
                yield
            except StoreBusy:
                self._vain = time.monotonic()
                raise


class Breaker:
    """Spares calls the wait for a server that was just not reached.

    After an attempt that failed, none is made for ten times as long as it took, so that at most a
    tenth of the time is spent in vain. One that is refused at once is tried again almost at once.
    """

    def __init__(self, what: str, longest: float = 30.0) -> None:
        self._what, self._longest = what, longest
        self._until = 0.0

    def check(self) -> float:
        """When the attempt begins. Raises `StoreError` if it is not to be made yet."""
        now = time.monotonic()
        if now < self._until:
            left = self._until - now
            raise StoreError(f"{self._what} was not reached; it is tried again in {left:.0f} s")
        return now

    def failed(self, begun: float) -> None:
        """The attempt that began then did not reach the server."""
        now = time.monotonic()
        self._until = now + min(10 * (now - begun), self._longest)
