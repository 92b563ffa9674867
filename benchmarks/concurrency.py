"""Read and write one large cache from threads and tasks at once, while entries are evicted.

    python -m benchmarks.concurrency --rounds 100 [--entries 30000] [--seconds 2] [--memory]

Each round opens the cache and lets four readers and four writers at it, half of them threads, half
tasks of one event loop, with as many entries as it may hold, so that puts evict. A round
fails if anything raises, an answer is another question's, the cache holds more than it may, or,
after it came to rest, an entry of the record is not found by its vector.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.durability import Embedder, answer, vector
from semcache_core.store import Store, open_store

LOOKED_AT = 50
"""Entries that are searched for after each round."""


def opened(path: Path | None, limit: int) -> Store:
    """A store that is full with so many entries."""
    store_of: Any = open_store
    made: Store = store_of(path, embedder=Embedder(), max_entries=limit, poll=0.05)
    return made


class Round:
    """Readers and writers on one store for some seconds."""

    def __init__(self, store: Store, limit: int, seconds: float) -> None:
        self._store, self._limit = store, limit
        self._until = time.monotonic() + seconds
        self.failures: list[str] = []
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        """Return when the time is over."""
        threads = [
            threading.Thread(target=self._repeat, args=(work,))
            for work in (self._read, self._read, self._write, self._write)
        ]
        for thread in threads:
            thread.start()
        asyncio.run(self._tasks())
        for thread in threads:
            thread.join()

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until and not self.failures

    def _repeat(self, work: Callable[[], None]) -> None:
        try:
            while self._goes_on():
                work()
        except Exception as error:  # noqa: BLE001  # whatever it is, the round has failed
            self.failures.append(f"{type(error).__name__}: {error}")

    async def _tasks(self) -> None:
        works = (self._aread, self._aread, self._awrite, self._awrite)
        for one in await asyncio.gather(*(self._arepeat(w) for w in works), return_exceptions=True):
            if isinstance(one, BaseException):
                self.failures.append(f"{type(one).__name__}: {one}")

    async def _arepeat(self, work: Callable[[], Any]) -> None:
        while self._goes_on():
            await work()

    def _any(self) -> int:
        return random.randrange(2 * self._limit)

    def _read(self) -> None:
        i = self._any()
        self._check(i, self._store.get(f"k{i}"), self._store.nearest("scope", vector(i), 3, 0.5))

    async def _aread(self) -> None:
        i = self._any()
        near = await self._store.anearest("scope", vector(i), 3, 0.5)
        self._check(i, await self._store.aget(f"k{i}"), near)

    def _check(self, i: int, found: Any, near: list[Any]) -> None:
        entries = [one.entry for one in near] + ([found] if found is not None else [])
        if any(one.payload != b"answer %s" % one.key[1:].encode() for one in entries):
            self.failures.append(f"another question's answer near k{i}")
        for entry in entries:
            self._store.touch(entry.key)
        self.done["read"] += 1

    def _write(self) -> None:
        self._store.put([answer(self._any())])
        self._counted()

    async def _awrite(self) -> None:
        await self._store.aput([answer(self._any())])
        self._counted()

    def _counted(self) -> None:
        self.done["written"] += 1
        if self._store.count() > self._limit:
            self.failures.append("the cache holds more than it may")


def unfound(store: Store) -> int:
    """How many of some entries are not found by their own vectors."""
    store.flush()
    keys = [entry.key for entry in store.entries()]
    sample = random.sample(keys, min(len(keys), LOOKED_AT))
    found = {key: store.nearest("scope", vector(int(key[1:])), 1, 0.99) for key in sample}
    return sum(not near or near[0].entry.key != key for key, near in found.items())


def fill(store: Store, count: int) -> None:
    """Make it full."""
    for first in range(0, count, 500):
        store.put([answer(i) for i in range(first, min(first + 500, count))])


def one(path: Path | None, limit: int, seconds: float) -> tuple[list[str], Counter[str]]:
    """What failed in a round, and how much was done."""
    with closing(opened(path, limit)) as store:
        if store.count() < limit:
            fill(store, limit)
        work = Round(store, limit, seconds)
        work.run()
        # A graph search misses one in some hundreds; what is lost is missed again and again.
        if not work.failures and (lost := unfound(store)) > LOOKED_AT // 10:
            work.failures.append(f"{lost} of {LOOKED_AT} entries are not found by their vectors")
        return work.failures, work.done


def main() -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--entries", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--memory", action="store_true", help="a record in memory, not on disk")
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        path = None if given.memory else Path(temporary) / "cache"
        for number in range(1, given.rounds + 1):
            failures, done = one(path, given.entries, given.seconds)
            failed += bool(failures)
            print(f"{number:4} {dict(done)} {'; '.join(failures) or 'sound'}", flush=True)
    print(f"{given.rounds} rounds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
