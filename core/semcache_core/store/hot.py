"""The entries used last, in this process's memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from semcache_core.models import Change, Entry


class HotTier:
    """An LRU of entries by key, bounded in entries and in bytes. Thread-safe; no I/O.

    `epoch` guards against a reader that fetched a row, was overtaken by its deletion, and would
    now put back what is gone: it hands in the epoch from before it fetched.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self._epoch = 0
        self._crowded = False
        """Whether it will matter soon what was used last: to note it takes longer than to look."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def epoch(self) -> int:
        """Grows with every `follow` and `clear`."""
        return self._epoch

    def get(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None and self._crowded:
            self._used(key)
        return entry

    def _used(self, key: str) -> None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)

    def add(self, entries: Iterable[Entry], epoch: int) -> None:
        """Keep entries, unless the epoch moved on; older ones of the same keys go in any case."""
        with self._lock:
            stale = epoch != self._epoch
            for entry in entries:
                self._drop(entry.key, entry.seq + 1)
                if not stale and entry.key not in self._entries:
                    self._entries[entry.key] = entry
                    self._bytes += entry.size
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._bytes -= self._entries.popitem(last=False)[1].size
            self._crowded = (
                len(self._entries) > self._max_entries // 2 or self._bytes > self._max_bytes // 2
            )

    def follow(self, changes: Iterable[Change]) -> None:
        """Forget what the record's log says is no longer so."""
        with self._lock:
            self._epoch += 1
            for change in changes:
                self._drop(change.key, change.seq)

    def clear(self) -> None:
        with self._lock:
            self._epoch += 1
            self._entries.clear()
            self._bytes, self._crowded = 0, False

    def reset(self) -> None:
        """For a forked child, whose parent may have held the lock."""
        self._lock = threading.Lock()
        self.clear()

    def _drop(self, key: str, seq: int) -> None:
        """Forget a key whose entry is older than `seq`."""
        held = self._entries.get(key)
        if held is not None and held.seq < seq:
            self._bytes -= self._entries.pop(key).size
