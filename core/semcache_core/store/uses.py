"""Use counts, gathered in memory and written behind in batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from semcache_core.errors import StoreError, StoreReadOnly
from semcache_core.protocols import EntryStore

_MOST = 10_000
_BATCH = 256
"""Uses that are noted before they are added up: for one alone that takes several times as long."""


class Uses:
    """Counts uses by key until they are written. Thread-safe, bounded."""

    def __init__(self) -> None:
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._new: deque[tuple[str, float, int]] = deque()
        self._counts: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._counts)

    def add(self, key: str, now: float, count: int = 1) -> None:
        """Count a use at `now`, in seconds since the epoch."""
        self._new.append((key, now, count))
        if len(self._new) >= _BATCH:
            with self._lock:
                self._count()

    def _count(self) -> None:
        """Add up what was noted; the lock is held."""
        while self._new:
            key, now, count = self._new.popleft()
            held = self._counts.get(key)
            if held is not None:
                self._counts[key] = (held[0] + count, max(held[1], now))
            elif len(self._counts) < _MOST:
                self._counts[key] = (count, now)
            # Else writing has failed for long. A count that is lost makes an eviction a little
            # less apt; memory that grows would do worse.

    def forget(self, keys: Iterable[str]) -> None:
        """What was counted of these is of entries that go now, and not of what takes their place.

        Returns when what another thread is writing is written, for it would come after them.
        """
        with self._writing, self._lock:
            self._count()
            for key in keys:
                self._counts.pop(key, None)

    def write(self, record: EntryStore) -> None:
        """Add all counts so far to the record. Raises `StoreError`, and keeps them then.

        Returns when counts that another thread is writing are written too: an eviction that
        follows must see them.
        """
        with self._writing:
            counts = self._take()
            try:
                record.touch(counts)
            except StoreReadOnly:
                return  # they only decide about evictions, of which there are none there
            except StoreError:
                for key, (count, last) in counts.items():
                    self.add(key, last, count)
                raise

    def reset(self) -> None:
        """For a forked child: the parent writes what was counted before."""
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._new, self._counts = deque(), {}

    def _take(self) -> dict[str, tuple[int, float]]:
        with self._lock:
            self._count()
            counts, self._counts = self._counts, {}
            return counts
