"""The right to write an index that several machines reach: held for a while, kept in the record."""

from __future__ import annotations

import time
import uuid

from semcache_core.protocols import Clock, EntryStore

SECONDS = 30.0
"""How long a lease outlives its holder. Clocks of machines may differ by less than that."""


class Lease:
    """At most one holder at a time, over all processes that share the record."""

    def __init__(
        self, record: EntryStore, name: str, *, seconds: float = SECONDS, clock: Clock = time.time
    ) -> None:
        self._record, self._name = record, name
        self._seconds, self._clock = seconds, clock
        self._holder = uuid.uuid4().hex
        self._until = 0.0

    def acquire(self) -> bool:
        """Take the lease if it is free, and prolong it if it is ours. Raises `StoreError`."""
        now = self._clock()
        if 0 < self._until - now - self._seconds / 2 <= self._seconds:
            return True
        held = self._record.meta(self._name)
        holder, until = _parsed(held)
        # An end farther away than any holder sets it was set before the clock was put back.
        if holder not in ("", self._holder) and now < until <= now + 2 * self._seconds:
            return False
        until = now + self._seconds
        taken = self._record.swap_meta(self._name, held, f"{self._holder} {until}")
        self._until = until if taken else 0.0
        return taken

    def release(self) -> None:
        """Give it back, if it is ours. Raises `StoreError`."""
        self._until = 0.0
        held = self._record.meta(self._name)
        if _parsed(held)[0] == self._holder:
            self._record.swap_meta(self._name, held, "")


def _parsed(text: str | None) -> tuple[str, float]:
    holder, _, until = (text or "").partition(" ")
    return holder, float(until or 0)
