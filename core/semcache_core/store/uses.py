"""Use counts, gathered in memory and written behind in batches."""

from __future__ import annotations

import threading

_MOST = 10_000


class Uses:
    """Counts uses by key until they are taken. Thread-safe, bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: str, now: float, count: int = 1) -> None:
        """Count a use at `now`, in seconds since the epoch."""
        with self._lock:
            if key not in self._counts and len(self._counts) >= _MOST:
                # Only while writing fails for long. A count that is lost makes an eviction a
                # little less apt; memory that grows would do worse.
                return
            before, last = self._counts.get(key, (0, now))
            self._counts[key] = (before + count, max(last, now))

    def take(self) -> dict[str, tuple[int, float]]:
        """All counts so far: {key: (uses, last used)}; counting begins anew."""
        with self._lock:
            counts, self._counts = self._counts, {}
            return counts

    def give_back(self, counts: dict[str, tuple[int, float]]) -> None:
        """Counts that were taken and could not be written."""
        for key, (count, last) in counts.items():
            self.add(key, last, count)

    def reset(self) -> None:
        """For a forked child: the parent writes what was counted before."""
        self._lock = threading.Lock()
        self._counts = {}
