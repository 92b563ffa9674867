"""The record in this process's memory: for tests, notebooks, and caches that need not last."""

from __future__ import annotations

import random
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import merge, nsmallest
from itertools import islice
from typing import Any

from semcache_core.errors import StoreClosed
from semcache_core.expiry import ORDERED, check_rule, take
from semcache_core.models import Change, Entry, Figures, Usage

_KEPT_TOMBSTONES = 10_000

_ORDER: dict[str, Callable[[Entry], object]] = {
    "lru": lambda entry: (entry.last_used, entry.seq),
    "lfu": lambda entry: (entry.uses, entry.last_used, entry.seq),
    "fifo": lambda entry: entry.seq,
    "random": lambda entry: random.random(),  # noqa: S311  # not a secret
}


class MemoryEntries:
    """An `EntryStore` that is gone with the process. A fork's child has a copy of its own."""

    shared = False
    read_only = False

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rows: dict[str, Entry] = {}
        self._scopes: dict[str, dict[str, None]] = {}
        self._tombstones: OrderedDict[int, Change] = OrderedDict()
        self._meta: dict[str, str] = {}
        self._figures = Figures(seq=0, count=0, size=0)
        self._trimmed = 0
        self._closed = False

    def put(self, entries: Sequence[Entry]) -> list[Entry]:
        with self._open():
            wanted = {entry.key: entry for entry in entries}
            return [self._insert(entry) for entry in wanted.values()]

    def get(self, keys: Sequence[str]) -> dict[str, Entry]:
        with self._open():
            return {key: self._rows[key] for key in keys if key in self._rows}

    def delete(self, keys: Sequence[str]) -> list[Change]:
        with self._open():
            changes = [self._bury(key) for key in dict.fromkeys(keys) if key in self._rows]
            while len(self._tombstones) > _KEPT_TOMBSTONES:
                self._trimmed, _ = self._tombstones.popitem(last=False)
            return changes

    def touch(self, uses: Mapping[str, tuple[int, float]]) -> None:
        with self._open():
            for key, (count, last) in uses.items():
                if entry := self._rows.get(key):
                    self._rows[key] = replace(
                        entry, uses=entry.uses + count, last_used=max(entry.last_used, last)
                    )

    def changes(self, after: int, limit: int) -> list[Change] | None:
        with self._open():
            if after < self._trimmed:
                return None
            written = (
                Change(entry.seq, entry.key, entry.scope, replace(entry, payload=b""))
                for entry in _newer(list(self._rows.values()), after)
            )
            deleted = (c for c in self._tombstones.values() if c.seq > after)
            return list(islice(merge(written, deleted, key=lambda change: change.seq), limit))

    def figures(self) -> Figures:
        with self._open():
            return self._figures

    def scope(self, scope: str) -> Iterator[Entry]:
        with self._open():
            return iter([self._rows[key] for key in self._scopes.get(scope, ())])

    def entries(self, namespace: str | None = None) -> Iterator[Entry]:
        with self._open():
            return iter([row for row in self._rows.values() if namespace in (None, row.namespace)])

    def count(self, scope: str | None = None) -> int:
        with self._open():
            return len(self._rows if scope is None else self._scopes.get(scope, ()))

    def doomed(self, rule: str, excess: int, excess_bytes: int, now: float) -> list[str]:
        check_rule(rule, ORDERED)
        with self._open():
            rows = list(self._rows.values())
        by_rule: Any = _ORDER[rule]  # a rule's keys compare with one another
        rows.sort(key=lambda row: (not row.expired(now), by_rule(row)))
        return take(((row.key, row.size) for row in rows), excess, excess_bytes)

    def sample(self, count: int) -> list[Usage]:
        with self._open():
            rows = list(self._rows.values())
        if len(rows) > count:
            rows = random.sample(rows, count)
        return [Usage(row.key, row.size, row.uses, row.tokens, row.last_used) for row in rows]

    def expired(self, now: float, limit: int) -> list[str]:
        with self._open():
            gone = [(row.expires, row.key) for row in self._rows.values() if row.expired(now)]
        return [key for _, key in nsmallest(limit, gone)]

    def meta(self, name: str) -> str | None:
        with self._open():
            return self._meta.get(name)

    def set_meta(self, name: str, value: str) -> None:
        with self._open():
            self._meta[name] = value

    def metas(self) -> dict[str, str]:
        with self._open():
            return dict(self._meta)

    def swap_meta(self, name: str, old: str | None, new: str) -> bool:
        with self._open():
            swapped = self._meta.get(name) == old
            if swapped:
                self._meta[name] = new
            return swapped

    def clear(self, namespace: str | None = None) -> int:
        with self._open():
            return len(self.delete([entry.key for entry in self.entries(namespace)]))

    def close(self) -> None:
        self._closed = True

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork(self, child: bool) -> None:
        if child:
            self._lock = threading.RLock()
        else:
            self._lock.release()

    def _open(self) -> threading.RLock:
        if self._closed:
            raise StoreClosed("the record was used after close()")
        return self._lock

    def _insert(self, entry: Entry) -> Entry:
        self._remove(entry.key)
        # One scope's name for all its entries: they come with a copy each.
        entry = replace(entry, seq=self._figures.seq + 1, scope=sys.intern(entry.scope))
        self._rows[entry.key] = entry
        if entry.vector is not None:
            self._scopes.setdefault(entry.scope, {})[entry.key] = None
        self._count(entry, 1)
        return entry

    def _bury(self, key: str) -> Change:
        scope = self._rows[key].scope
        self._remove(key)
        self._figures = replace(self._figures, seq=self._figures.seq + 1)
        change = Change(self._figures.seq, key, scope)
        self._tombstones[change.seq] = change
        return change

    def _remove(self, key: str) -> None:
        if (old := self._rows.pop(key, None)) is None:
            return
        self._count(old, -1)
        if old.vector is not None:
            del self._scopes[old.scope][key]
            if not self._scopes[old.scope]:
                del self._scopes[old.scope]

    def _count(self, entry: Entry, sign: int) -> None:
        old = self._figures
        self._figures = Figures(
            seq=max(old.seq, entry.seq),
            count=old.count + sign,
            size=old.size + sign * entry.size,
        )


def _newer(rows: Sequence[Entry], after: int) -> Sequence[Entry]:
    """The rows above `after`, of rows in ascending seq, found from the end: there are few."""
    start = len(rows)
    while start and rows[start - 1].seq > after:
        start -= 1
    return rows[start:]
