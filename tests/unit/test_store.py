"""The store over each record: what is seen when, what is evicted, what is refused."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_values import DIMENSION, entry, near, unit

from semcache_core.entries.memory import MemoryEntries
from semcache_core.entries.sql import SqlEntries
from semcache_core.errors import ConfigError, IncompatibleError, StoreClosed
from semcache_core.indexes.scan import ScanIndex, loading
from semcache_core.models import Entry, VectorPage
from semcache_core.protocols import EntryStore
from semcache_core.store import Store


class Stores:
    """Makes stores over one record and closes them in the end."""

    def __init__(self, kind: str, folder: Path, clock: Any) -> None:
        self._kind, self._folder, self._clock = kind, folder, clock
        self._made: list[Store] = []

    def __call__(self, identity: str = "model-a", **options: Any) -> Store:
        return self.over(self.record(), identity, **options)

    def over(
        self,
        record: EntryStore,
        identity: str = "model-a",
        index: ScanIndex | None = None,
        **options: Any,
    ) -> Store:
        store = Store(
            record,
            index or ScanIndex(loading(record)),
            identity=identity,
            dimension=lambda: DIMENSION,
            clock=self._clock,
            **options,
        )
        self._made.append(store)
        return store

    def record(self) -> EntryStore:
        if self._kind == "memory":
            return MemoryEntries()
        return SqlEntries(f"sqlite:///{self._folder / 'entries.sqlite3'}")

    def close(self) -> None:
        for store in self._made:
            store.close()


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, clock: Any) -> Iterator[Stores]:
    """A maker of stores for each kind of record."""
    made = Stores(request.param, tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def shared(tmp_path: Path, clock: Any) -> Iterator[Stores]:
    """A maker of stores that share one SQLite file."""
    made = Stores("sqlite", tmp_path, clock)
    yield made
    made.close()


def found(store: Store, vector: Any, k: int = 5, floor: float = -1.0) -> list[str]:
    """The keys nearest to a vector."""
    return [c.entry.key for c in store.nearest("scope", vector, k, floor)]


def test_put_is_seen_at_once(stores: Stores) -> None:
    """What was put is there for hot, get and nearest, whole."""
    store = stores()
    [stored] = store.put([entry("a")])
    assert stored.seq == 1
    assert store.hot("a").payload == b"answer"
    assert store.get("a").payload == b"answer"
    [candidate] = store.nearest("scope", unit(97), 3)
    assert candidate.entry.payload == b"answer"
    assert candidate.similarity == pytest.approx(1.0, abs=1e-6)
    assert store.get("b") is None
    assert store.hot("b") is None


def test_nearest_first_above_the_floor(stores: Stores) -> None:
    """Candidates come in the order of similarity, cut at k and at the floor."""
    store = stores()
    query = unit(1)
    store.put([entry(f"s{s}", vector=near(query, s / 100)) for s in (90, 50, 70, 99, 80)])
    assert found(store, query) == ["s99", "s90", "s80", "s70", "s50"]
    assert found(store, query, k=2) == ["s99", "s90"]
    assert found(store, query, floor=0.75) == ["s99", "s90", "s80"]
    assert found(store, query, floor=0.995) == []
    assert store.nearest("other", query, 5) == []


def test_replacing_an_answer(stores: Stores) -> None:
    """The new answer is served, under its new vector only."""
    store = stores()
    store.put([entry("a", vector=unit(1), payload=b"old")])
    assert found(store, unit(1), floor=0.99) == ["a"]
    store.put([entry("a", vector=unit(2), payload=b"new")])
    assert store.hot("a").payload == b"new"
    assert found(store, unit(1), floor=0.99) == []
    assert store.nearest("scope", unit(2), 1)[0].entry.payload == b"new"


def test_entry_that_loses_its_vector(stores: Stores) -> None:
    """An entry that becomes exact-only is found by key alone."""
    store = stores()
    store.put([entry("a", vector=unit(1))])
    assert found(store, unit(1)) == ["a"]
    store.put([entry("a", vector=None)])
    assert found(store, unit(1)) == []
    assert store.get("a") is not None


def test_delete_and_clear(stores: Stores) -> None:
    """Deleted entries are gone from every tier, and only those."""
    store = stores()
    store.put([entry(key, namespace=key[0]) for key in ("x1", "x2", "y1", "y2")])
    assert len(found(store, unit(1))) == 4
    assert store.delete(["x1", "nobody"]) == ["x1"]
    assert store.hot("x1") is None
    assert store.get("x1") is None
    assert set(found(store, unit(1))) == {"x2", "y1", "y2"}
    assert store.clear("y") == 2
    assert set(found(store, unit(1))) == {"x2"}
    assert [e.key for e in store.entries()] == ["x2"]
    assert store.clear() == 1
    assert found(store, unit(1)) == []
    assert store.hot("x2") is None
    assert store.count() == store.size() == 0


def test_time_to_live(stores: Stores, clock: Any) -> None:
    """An entry ends after the cache's ttl, or its own end, or never if that is infinite."""
    store = stores(ttl=10.0)
    now = clock()
    store.put(
        [
            entry("default", created=now),
            entry("own", created=now, expires=now + 5),
            entry("never", created=now, expires=math.inf),
        ]
    )
    clock.advance(5)
    assert store.hot("own") is None
    assert store.get("own") is None
    assert set(found(store, unit(1))) == {"default", "never"}
    clock.advance(5)
    assert store.hot("default") is None
    assert store.get("default") is None
    clock.advance(10**6)
    assert found(store, unit(1)) == ["never"]
    assert store.get("never") is not None


def test_expired_entries_do_not_hide_live_ones(stores: Stores, clock: Any) -> None:
    """The nearest live entry is found behind many nearer ones that expired."""
    store = stores()
    query, now = unit(1), clock()
    store.put([entry(f"k{i}", vector=near(query, 0.9, i), expires=now + 1) for i in range(60)])
    store.put([entry("live", vector=near(query, 0.5))])
    clock.advance(2)
    assert found(store, query, k=1) == ["live"]


@pytest.mark.parametrize("rule", ["lru", "lfu", "fifo", "random"])
def test_max_entries(stores: Stores, rule: str) -> None:
    """The limit holds after every put, and what was put last is always there."""
    store = stores(max_entries=10, eviction=rule)
    for i in range(50):
        store.put([entry(f"k{i}")])
        assert store.count() <= 10
        assert store.get(f"k{i}") is not None
    assert len(found(store, unit(1), k=50)) == store.count()
    if rule == "fifo":
        assert [e.key for e in store.entries()] == [f"k{i}" for i in range(40, 50)]


def test_lru_spares_what_was_used(stores: Stores, clock: Any) -> None:
    """A use that was only counted in memory decides about the eviction."""
    store = stores(max_entries=3)
    for key in ("a", "b", "c"):
        store.put([entry(key, created=clock.advance(1))])
    clock.advance(1)
    store.touch("a")
    store.put([entry("d", created=clock.advance(1))])
    assert sorted(e.key for e in store.entries()) == ["a", "c", "d"]


def test_uses_reach_the_record(stores: Stores, clock: Any) -> None:
    """flush() writes use counts."""
    store = stores()
    store.put([entry("a")])
    for _ in range(3):
        store.touch("a")
    store.flush()
    [kept] = store.entries()
    assert (kept.uses, kept.last_used) == (3, clock())


@pytest.mark.parametrize("gone", ["delete", "clear", "replace"])
def test_uses_of_what_is_gone_are_not_its_successors(stores: Stores, gone: str) -> None:
    """Counted and not written yet, they would make a new answer look popular."""
    store = stores()
    store.put([entry("a")])
    store.touch("a")
    if gone == "delete":
        store.delete(["a"])
    elif gone == "clear":
        store.clear()
    store.put([entry("a")])
    store.flush()
    assert [one.uses for one in store.entries()] == [0]


def test_max_bytes(stores: Stores) -> None:
    """The byte limit holds after every put."""
    size = entry("k00", payload=b"x" * 1000).size
    store = stores(max_bytes=5 * size)
    for i in range(20):
        store.put([entry(f"k{i:02}", payload=b"x" * 1000)])
        assert store.size() <= 5 * size
        assert store.get(f"k{i:02}") is not None
    assert store.count() == 5


def test_entry_over_the_byte_limit(stores: Stores) -> None:
    """An entry that can never fit is not kept and evicts nobody; it comes back with seq 0."""
    store = stores(max_bytes=1000)
    store.put([entry("small")])
    [refused] = store.put([entry("large", payload=b"x" * 2000)])
    assert refused.seq == 0
    assert store.get("large") is None
    assert store.get("small") is not None


def test_batch_over_the_limit(stores: Stores) -> None:
    """Of a batch that is larger than the cache the last entries stay."""
    store = stores(max_entries=3)
    store.put([entry(f"k{i}") for i in range(10)])
    assert [e.key for e in store.entries()] == ["k7", "k8", "k9"]


def test_empty_put(stores: Stores) -> None:
    """Nothing to put is no error."""
    assert stores().put([]) == []


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        (unit(1, 5), r"shape \(5,\)"),
        (unit(1).astype(np.float64), "float64"),
        (unit(1) * 2, "unit length"),
        (np.full(DIMENSION, np.nan, dtype=np.float32), "unit length"),
    ],
)
def test_bad_vectors(stores: Stores, vector: Any, said: str) -> None:
    """A vector that cannot be one is refused, and nothing of the batch is kept."""
    store = stores()
    with pytest.raises(ConfigError, match=said):
        store.put([entry("good"), entry("bad", vector=vector)])
    assert store.count() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttl": 0}, "ttl"),
        ({"ttl": "1h"}, "ttl"),
        ({"max_entries": 0}, "max_entries"),
        ({"max_bytes": -1}, "max_bytes"),
        ({"eviction": "mru"}, "eviction"),
    ],
)
def test_bad_options(stores: Stores, options: dict[str, Any], said: str) -> None:
    """An option that cannot work is named."""
    with pytest.raises(ConfigError, match=said):
        stores(**options)


def test_meta(stores: Stores) -> None:
    """Small values are kept beside the entries."""
    store = stores()
    store.set_meta("blocked", "[1]")
    assert store.meta("blocked") == "[1]"
    assert store.meta("nothing") is None


def test_health(stores: Stores) -> None:
    """Health has the figures of the record and of memory."""
    store = stores()
    store.put([entry("a"), entry("b")])
    health = store.health()
    assert (health.rows, health.seq, health.hot, health.pending) == (2, 2, 2, 0)
    assert health.size == store.size() > 0
    assert health.index == "scan"
    assert not health.read_only


def test_closed(stores: Stores) -> None:
    """close() may be called twice; any use afterwards says what is wrong."""
    store = stores()
    store.close()
    store.close()
    for use in (
        lambda: store.hot("a"),
        lambda: store.get("a"),
        lambda: store.put([entry("a")]),
        lambda: store.nearest("scope", unit(1), 1),
        lambda: store.touch("a"),
        store.entries,
        store.flush,
        store.count,
        store.health,
    ):
        with pytest.raises(StoreClosed, match="close"):
            use()


async def test_awaitable(stores: Stores) -> None:
    """Each method has a form that leaves the event loop free."""
    store = stores()
    await store.aput([entry("a"), entry("b", namespace="n")])
    assert (await store.aget("a")).key == "a"
    assert len(await store.anearest("scope", unit(1), 5)) == 2
    assert await store.adelete(["a"]) == ["a"]
    assert await store.aclear("n") == 1
    await asyncio.gather(store.aflush(), store.aget("a"))
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.aget("a")


async def test_exact_hits_while_vectors_are_read(stores: Stores) -> None:
    """A search that waits for a scope to be read holds up neither the event loop nor others."""
    record = stores.record()
    record.put([entry("a"), entry("b")])
    reading, go_on = threading.Event(), threading.Event()

    def load(scope: str) -> Iterator[VectorPage | Entry]:
        reading.set()
        go_on.wait(10)
        yield from loading(record)(scope)

    store = stores.over(record, index=ScanIndex(load))
    search = asyncio.create_task(store.anearest("scope", unit(sum(b"a")), 1))
    while not reading.is_set():
        await asyncio.sleep(0.001)
    assert store.get("a") is not None
    store.put([entry("c")])
    assert not search.done()
    go_on.set()
    assert [candidate.entry.key for candidate in await search] == ["a"]
    assert len(store.nearest("scope", unit(sum(b"c")), 5)) == 3


def test_kept_across_restarts(shared: Stores, clock: Any) -> None:
    """Entries, figures, use counts and ends are there when the path is opened again."""
    first = shared(ttl=100.0)
    first.put([entry("a", created=clock()), entry("b", created=clock())])
    first.touch("a")
    before = first.health()
    first.close()
    second = shared()
    after = second.health()
    assert (after.rows, after.size, after.seq) == (before.rows, before.size, before.seq)
    assert second.get("a").uses == 1
    assert set(found(second, unit(1))) == {"a", "b"}
    clock.advance(101)
    assert second.get("a") is None


def test_other_embedder(shared: Stores) -> None:
    """Vectors of another embedder are refused by names of both, until the store is cleared."""
    first = shared("model-a")
    first.put([entry("a")])
    with pytest.raises(IncompatibleError, match=r"model-a.*model-b"):
        shared("model-b")
    first.clear()
    second = shared("model-b")
    second.put([entry("a")])
    with pytest.raises(IncompatibleError, match=r"model-b.*model-a"):
        first.put([entry("b")])


def test_exact_only_entries_bind_no_embedder(shared: Stores) -> None:
    """As long as no vector was kept, any embedder may come."""
    shared("model-a").put([entry("a", vector=None)])
    shared("model-b").put([entry("b")])


def test_others_changes_are_seen(shared: Stores) -> None:
    """Puts, replacements and deletions of another store over the same file are seen."""
    one, two = shared(poll=0.0), shared(poll=0.0)
    one.put([entry("a", vector=unit(1), payload=b"old"), entry("b", vector=unit(3))])
    assert found(two, unit(1)) != []
    assert two.get("a").payload == b"old"
    one.put([entry("a", vector=unit(2), payload=b"new")])
    assert two.get("a").payload == b"new"
    assert found(two, unit(2), floor=0.99) == ["a"]
    assert found(two, unit(1), floor=0.99) == []
    one.delete(["a"])
    assert two.hot("a") is None
    assert two.get("a") is None
    assert found(two, unit(2)) == ["b"]
    one.clear()
    assert found(two, unit(2)) == []
    one.put([entry("c")])
    assert found(two, unit(2)) == ["c"]


def test_others_many_changes(shared: Stores) -> None:
    """After more changes than are worth following, all is read anew."""
    one, two = shared(poll=0.0), shared(poll=0.0)
    one.put([entry("first")])
    assert found(two, unit(1)) == ["first"]
    one.put([entry(f"k{i}") for i in range(1500)])
    one.delete(["first"])
    assert len(found(two, unit(1), k=2000)) == 1500
    assert two.get("first") is None


def test_rows_decide_before_the_poll(shared: Stores) -> None:
    """A candidate is what its row says now, although the index has not heard of the change."""
    one, two = shared(), shared(poll=3600.0)
    query = unit(1)
    one.put([entry("a", vector=query), entry("b", vector=near(query, 0.9))])
    two.nearest("scope", query, 2, floor=2.0)  # loads the scope, fetches no row
    one.delete(["a"])
    one.put([entry("b", vector=near(query, 0.4), payload=b"new")])
    [candidate] = two.nearest("scope", query, 5)
    assert candidate.entry.payload == b"new"
    assert candidate.similarity == pytest.approx(0.4, abs=1e-6)
    assert found(two, query, floor=0.5) == []


def test_dropped_without_close(shared: Stores) -> None:
    """A store that is forgotten is collected, and writes what it had counted."""
    store = shared()
    store.put([entry("a")])
    store.touch("a")
    finish = store._finish
    shared._made.clear()
    del store
    deadline = time.monotonic() + 10
    while finish.alive and time.monotonic() < deadline:  # its thread may be busy with it
        gc.collect()
        time.sleep(0.01)
    assert not finish.alive
    reader = shared()
    while reader.get("a").uses == 0 and time.monotonic() < deadline:
        reader = shared()
    assert reader.get("a").uses == 1


def test_an_entry_over_its_limit_is_not_kept(stores: Stores) -> None:
    """It comes back without a seq, and what it would have replaced is left as it is."""
    store = stores(max_entry_bytes=1_000)
    store.put([entry("a")])
    kept, left = store.put([entry("b", payload=b"x" * 500), entry("a", payload=b"x" * 1_000)])
    assert kept.seq
    assert not left.seq
    found_ = store.get("a")
    assert found_ is not None
    assert found_.payload == b"answer"


def test_an_entry_over_the_limit_that_others_wrote_is_not_served(stores: Stores) -> None:
    """Neither by its key nor by its meaning."""
    record = stores.record()
    store = stores.over(record, max_entry_bytes=1_000)
    record.put([entry("big", payload=b"x" * 1_001), entry("small", payload=b"x" * 1_000)])
    assert store.get("big") is None
    assert store.get("small") is not None
    assert {c.entry.key for c in store.nearest("scope", entry("big").vector, 5)} == {"small"}
