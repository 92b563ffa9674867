"""Readers and writers in threads while entries are evicted: nothing wrong is ever served.

A short run by default; SEMCACHE_STRESS_ROUNDS multiplies it.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_values import Wide, entry, wide

from semcache_core.store import Store, open_store

ROUNDS = int(os.environ.get("SEMCACHE_STRESS_ROUNDS", "4"))


def run(works: list[Callable[[], None]], seconds: float) -> None:
    """Repeat each work in a thread of its own for a while; the first failure is raised."""
    failures: list[BaseException] = []
    stop = time.monotonic() + seconds

    def repeat(work: Callable[[], None]) -> None:
        try:
            while time.monotonic() < stop and not failures:
                work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def payload(i: int) -> bytes:
    """The answer that belongs to the i-th question."""
    return b"answer %d" % i


@pytest.mark.slow
@pytest.mark.timeout(60 + 10 * ROUNDS)
@pytest.mark.parametrize("where", ["disk", "memory"])
@pytest.mark.parametrize("rule", ["lru", "lfu", "fifo", "random"])
def test_readers_and_writers(tmp_path: Path, where: str, rule: str) -> None:
    """Four readers and four writers over three scopes, full all the time."""
    path = tmp_path if where == "disk" else None
    store = open_store(
        path, embedder=Wide(), scan_limit=60, max_entries=300, eviction=rule, poll=0.01
    )

    def write() -> None:
        i = random.randrange(600)
        scope = f"s{i % 3}"
        store.put([entry(f"k{i}", scope=scope, vector=wide(i), payload=payload(i))])
        assert store.count() <= 300
        if i % 10 == 0:
            store.delete([f"k{random.randrange(600)}"])

    def read() -> None:
        i = random.randrange(600)
        found = store.get(f"k{i}")
        assert found is None or found.payload == payload(i)
        scope = f"s{i % 3}"
        for candidate in store.nearest(scope, wide(i), 3, 0.5):
            assert candidate.entry.scope == scope
            j = int(candidate.entry.key[1:])
            assert candidate.entry.payload == payload(j)
            assert candidate.similarity == pytest.approx(float(wide(i) @ wide(j)), abs=1e-5)
            store.touch(candidate.entry.key)

    run([write] * 4 + [read] * 4, seconds=ROUNDS / 2)
    store.flush()
    consistent(store)
    store.close()


def consistent(store: Store) -> None:
    """What is in the record is found, and the figures are those of the rows."""
    kept = list(store.entries())
    assert store.count() == len(kept) <= 300
    assert store.size() == sum(found.size for found in kept)
    for found in kept:
        i = int(found.key[1:])
        assert store.nearest(found.scope, wide(i), 1, 0.99)[0].entry.key == found.key


@pytest.mark.slow
async def test_event_loop_is_never_held_up(tmp_path: Path) -> None:
    """While many tasks read and write, the loop goes on ticking."""
    store = open_store(tmp_path, embedder=Wide())
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def work(n: int) -> None:
        for i in range(n * 1000, n * 1000 + 20):
            await store.aput([entry(f"k{i}", vector=wide(i), payload=payload(i))])
            found: Any = await store.anearest("scope", wide(i), 1, 0.99)
            assert found[0].entry.key == f"k{i}"

    ticker = asyncio.create_task(tick())
    await asyncio.gather(*(work(n) for n in range(8)))
    ticker.cancel()
    assert ticks > 20
    await store.aclose()
