"""Waiting for a lock, but not for long: the caller has an answer in hand that its user wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from semcache_core.errors import StoreError

PATIENCE = 1.0
"""Seconds that a write waits for its turn before it is given up: a lost answer costs one call."""


class Lock(Protocol):
    """What `threading.Lock` and `threading.RLock` have in common."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...

    def release(self) -> None: ...


@contextmanager
def within(lock: Lock, seconds: float) -> Iterator[None]:
    """Hold the lock. Raises `StoreError` if it is not free within `seconds`."""
    if not lock.acquire(timeout=seconds):
        raise StoreError(f"the store stayed busy: other writes took longer than {seconds:.1f} s")
    try:
        yield
    finally:
        lock.release()
