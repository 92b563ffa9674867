"""The entries used last, in this process's memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from semcache_core.models import Entry


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

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def epoch(self) -> int:
        """Grows with every `drop` and `clear`."""
        return self._epoch

    def get(self, key: str) -> Entry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def add(self, entries: Iterable[Entry], epoch: int | None = None) -> None:
        """Keep entries unless newer ones are kept; all are ignored if the epoch moved on."""
        with self._lock:
            if epoch is not None and epoch != self._epoch:
                return
            for entry in entries:
                self._add(entry)
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._bytes -= self._entries.popitem(last=False)[1].size

    def drop(self, keys: Iterable[str], seq: int | None = None) -> None:
        """Forget keys; with `seq`, only entries that are older."""
        with self._lock:
            self._epoch += 1
            for key in keys:
                held = self._entries.get(key)
                if held is not None and (seq is None or held.seq < seq):
                    self._bytes -= self._entries.pop(key).size

    def clear(self) -> None:
        with self._lock:
            self._epoch += 1
            self._entries.clear()
            self._bytes = 0

    def reset(self) -> None:
        """For a forked child, whose parent may have held the lock."""
        self._lock = threading.Lock()
        self.clear()

    def _add(self, entry: Entry) -> None:
        held = self._entries.get(entry.key)
        if held is not None:
            if held.seq > entry.seq:
                return
            self._bytes -= held.size
        self._entries[entry.key] = entry
        self._entries.move_to_end(entry.key)
        self._bytes += entry.size
