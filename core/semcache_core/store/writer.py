"""Updates of a store: one at a time, in the order they came."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

from semcache_core.errors import StoreError, StoreReplaced
from semcache_core.expiry import Limits, excess
from semcache_core.models import Entry
from semcache_core.protocols import Clock, EntryStore
from semcache_core.store.eviction import Evictor
from semcache_core.store.follower import Follower
from semcache_core.store.hot import HotTier
from semcache_core.store.uses import Uses
from semcache_core.store.vectors import Vectors
from semcache_core.waiting import Queue

_PURGED = 500
"""Expired entries deleted at once, so that a put waits for no more than those."""


class Writer:
    """Changes the record, and has all that is in memory follow."""

    def __init__(
        self,
        entries: EntryStore,
        follower: Follower,
        hot: HotTier,
        vectors: Vectors,
        *,
        evictor: Evictor,
        uses: Uses,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._entries, self._follower, self._hot, self._vectors = entries, follower, hot, vectors
        self._evictor, self._uses, self._limits, self._clock = evictor, uses, limits, clock
        self._lock, self._queue = threading.RLock(), Queue()

    def put(self, batch: Sequence[Entry]) -> list[Entry]:
        """The entries as committed, for a batch that is admitted. Raises `StoreError`."""
        with self._queue.turn(self._lock):
            try:
                return self._put(batch)
            except StoreReplaced:
                return self._put(batch)

    def delete(self, keys: Sequence[str]) -> list[str]:
        """The keys that existed. Raises `StoreError`."""
        with self._queue.turn(self._lock):
            return self._delete(keys)

    def clear(self, namespace: str | None) -> int:
        """How many there were. Raises `StoreError`."""
        with self._queue.turn(self._lock):
            with contextlib.suppress(StoreError):
                self._uses.write(self._entries)  # or they would count for what is stored next
            count = self._entries.clear(namespace)
            if namespace is None:
                self._vectors.withdraw()
            self._follower.catch_up()
        return count

    def purge(self) -> None:
        """Delete what expired. Raises `StoreError`."""
        if self._entries.read_only:
            return
        while keys := self._entries.expired(self._clock(), _PURGED):
            self.delete(keys)

    def before_fork(self) -> None:
        """Let nobody write; the parent calls `release`, and the child `reset`."""
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    def reset(self) -> None:
        self._lock = threading.RLock()

    def _put(self, batch: Sequence[Entry]) -> list[Entry]:
        self._make_room(batch)
        if self._follower.exchanged:
            self._follower.catch_up()
        self._vectors.stake(batch)
        self._uses.forget([entry.key for entry in batch])
        epoch = self._hot.epoch
        committed = self._entries.put(batch)
        for entry in committed:
            self._evictor.used(entry.key)
        self._follower.written(committed, epoch)
        return committed

    def _delete(self, keys: Sequence[str]) -> list[str]:
        self._uses.forget(keys)
        changes = self._entries.delete(keys)
        self._follower.deleted(changes)
        return [change.key for change in changes]

    def _make_room(self, batch: Sequence[Entry]) -> None:
        if self._limits.max_entries is None and self._limits.max_bytes is None:
            return
        over = excess(self._entries.figures(), batch, self._limits)
        if over is not None:
            self._uses.write(self._entries)
        while over is not None:
            if not self._delete(self._evictor.victims(over, self._clock())):
                return  # none is left, or somebody else took them just now
            over = excess(self._entries.figures(), batch, self._limits)
