"""The rules "gdsf" and "tinylfu": what they keep, what they remember, what they cost the record."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_values import DIMENSION, entry

from semcache_core.entries.memory import MemoryEntries
from semcache_core.entries.sql import SqlEntries
from semcache_core.errors import ConfigError, StoreReadOnly
from semcache_core.expiry import Excess, Limits
from semcache_core.indexes.scan import ScanIndex
from semcache_core.keys import sha256
from semcache_core.models import Usage
from semcache_core.protocols import EntryStore, Sampling
from semcache_core.store import Store
from semcache_core.store.eviction import GreedyDual, TinyLfu, make_evictor
from semcache_core.store.frequency import Sketch


def key(name: object) -> str:
    """A key as adapters make them."""
    return sha256(str(name).encode())


def bare(name: object, size: int = 100, **fields: Any) -> Any:
    """An entry without a vector, so that its size is its payload's."""
    return entry(key(name), payload=b"x" * size, vector=None, query=None, **fields)


@pytest.fixture(params=["memory", "sqlite"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EntryStore]:
    """An empty record of each kind."""
    made = MemoryEntries() if request.param == "memory" else SqlEntries(f"sqlite:///{tmp_path}/r")
    yield made
    made.close()


class Requests:
    """A cache of a few entries, asked for one after the other."""

    def __init__(self, record: EntryStore, clock: Any, rule: str, **limits: Any) -> None:
        self._clock = clock
        self.store = Store(
            record,
            ScanIndex(record.scope),
            identity="m",
            dimension=lambda: DIMENSION,
            clock=clock,
            eviction=rule,
            **limits,
        )

    def __call__(self, name: object, size: int = 100, **fields: Any) -> bool:
        now = self._clock.advance(1)
        if self.store.get(key(name)) is not None:
            self.store.touch(key(name))
            return True
        self.store.put([bare(name, size, created=now, **fields)])
        return False

    def holds(self, name: object) -> bool:
        return self.store.get(key(name)) is not None


# -- the rules in a store -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["gdsf", "tinylfu"])
def test_limits_hold(record: EntryStore, clock: Any, rule: str) -> None:
    """After each put both limits hold, and what was put last is there."""
    ask = Requests(record, clock, rule, max_entries=20, max_bytes=3_000)
    for i in range(100):
        ask(i, size=50 + 7 * (i % 31))
        assert ask.store.count() <= 20
        assert ask.store.size() <= 3_000
        assert ask.holds(i)
    ask.store.close()


@pytest.mark.parametrize("rule", ["gdsf", "tinylfu"])
def test_expired_entries_go_first(record: EntryStore, clock: Any, rule: str) -> None:
    """However often it was used."""
    ask = Requests(record, clock, rule, max_entries=3)
    ask("old", expires=clock() + 10)
    for _ in range(3):
        ask("old")
    ask("a"), ask("b")
    clock.advance(20)
    ask("c")
    assert [name for name in ("old", "a", "b", "c") if ask.holds(name)] == ["a", "b", "c"]
    ask.store.close()


@pytest.mark.parametrize("rule", ["gdsf", "tinylfu"])
def test_a_scan_does_not_flush_what_is_used(record: EntryStore, clock: Any, rule: str) -> None:
    """Entries asked for again and again outlive many that are asked for once; LRU loses them."""

    def survivors(rule: str, record: EntryStore) -> int:
        ask = Requests(record, clock, rule, max_entries=30)
        for _ in range(5):
            for name in range(10):
                ask(name)
        for name in range(60):
            ask(f"once {name}")
        left = sum(ask.holds(name) for name in range(10))
        ask.store.close()
        return left

    assert survivors(rule, record) == 10
    assert survivors("lru", MemoryEntries()) == 0


def test_gdsf_keeps_what_saves_most_for_its_room(record: EntryStore, clock: Any) -> None:
    """Of entries used alike, the large one goes before small ones, the cheap before the dear."""
    ask = Requests(record, clock, "gdsf", max_bytes=2_000)
    ask("large", size=1_000, tokens=50)
    ask("dear", size=400, tokens=500)
    ask("cheap", size=400, tokens=5)
    ask("new", size=500, tokens=50)
    assert [name for name in ("large", "dear", "cheap", "new") if ask.holds(name)] == [
        "large",
        "dear",
        "new",
    ]
    ask("more", size=600, tokens=50)
    assert ask.holds("dear")
    assert not ask.holds("large")
    ask.store.close()


def test_gdsf_lets_go_what_is_no_longer_used(record: EntryStore, clock: Any) -> None:
    """What was popular once falls behind what is used now."""
    ask = Requests(record, clock, "gdsf", max_entries=10)
    for _ in range(20):
        ask("once popular")
    for turn in range(60):
        for name in range(5):
            ask(("now", turn // 4, name))
    assert not ask.holds("once popular")
    ask.store.close()


def test_tinylfu_remembers_what_is_gone(record: EntryStore, clock: Any) -> None:
    """An entry that was evicted and is asked for again gets in for good; LRU never keeps it."""
    ask = Requests(record, clock, "tinylfu", max_entries=10)
    hits = 0
    for turn in range(30):
        for name in range(12):
            hits += ask(name)
        ask(("once", turn))
    assert hits > 200  # a cycle of 12 through 10 places: the best is 9 or 10 of 12, LRU has none
    ask.store.close()


@pytest.mark.parametrize(("rule", "name"), [("gdsf", "gdsf"), ("tinylfu", "tinylfu")])
def test_what_was_learnt_outlives_the_process(
    tmp_path: Path, clock: Any, rule: str, name: str
) -> None:
    """Closing keeps it in the record, and opening takes it up."""
    url = f"sqlite:///{tmp_path}/r"
    ask = Requests(SqlEntries(url), clock, rule, max_entries=10)
    for i in range(40):
        ask(i), ask(i)
    evictor = ask.store._evictor
    ask.store.close()
    again = make_evictor(SqlEntries(url), Limits(10, None, rule))
    if rule == "gdsf":
        assert (again._times, again._levels) == (evictor._times, evictor._levels)
        assert len(again._levels) > 1
    else:
        assert again._requests._rows == evictor._requests._rows
        assert again._requests.count(key(39)) == 2


def test_a_record_without_samples_is_refused() -> None:
    """The error names the rules that it can follow."""

    class Plain(MemoryEntries):
        sample = None

    with pytest.raises(ConfigError, match=r'eviction=.gdsf. needs a record with sample.*"lru"'):
        make_evictor(Plain(), Limits(10, None, "gdsf"))
    make_evictor(Plain(), Limits(10, None, "lfu"))


@pytest.mark.parametrize("rule", ["gdsf", "tinylfu"])
def test_a_read_only_record_is_not_written(clock: Any, rule: str) -> None:
    """Closing does not try to."""

    class ReadOnly(MemoryEntries):
        def set_meta(self, name: str, value: str) -> None:
            raise StoreReadOnly("no")

    record = ReadOnly()
    made = make_evictor(record, Limits(2, None, rule))
    for i in range(9):
        record.put([bare(i)])
    made.victims(Excess(2, 0), clock())
    record.read_only = True
    made.save()


def test_forked_children_have_locks_of_their_own() -> None:
    """A parent that held the sketch's lock does not stop them."""
    made = make_evictor(MemoryEntries(), Limits(2, None, "tinylfu"))
    made._requests._lock.acquire()
    made.reset()
    made.used("a")
    assert made._requests.count("a") == 1
    make_evictor(MemoryEntries(), Limits(2, None, "gdsf")).reset()
    make_evictor(MemoryEntries(), Limits(2, None, "lru")).reset()


# -- drawing ------------------------------------------------------------------------------------


def test_samples(record: EntryStore) -> None:
    """All entries while there are few, different ones at random when there are many."""
    assert isinstance(record, Sampling)
    assert record.sample(5) == []
    record.put([bare(i, size=i, uses=i, tokens=2 * i, last_used=float(i)) for i in range(100)])
    drawn = {row.key: row for row in record.sample(1_000)}
    assert drawn == {key(i): Usage(key(i), i, i, 2 * i, float(i)) for i in range(100)}
    seen: set[str] = set()
    for _ in range(60):
        rows = record.sample(20)
        assert len({row.key for row in rows}) == 20
        seen.update(row.key for row in rows)
    assert len(seen) > 90


@pytest.mark.parametrize("rule", ["gdsf", "tinylfu"])
def test_large_caches_are_not_read_whole(clock: Any, rule: str) -> None:
    """What one eviction reads does not grow with the cache."""

    class Counting(MemoryEntries):
        most = 0

        def sample(self, count: int) -> list[Usage]:
            rows = super().sample(count)
            self.most = max(self.most, len(rows))
            return rows

    record = Counting()
    record.put([bare(i, last_used=float(i)) for i in range(5_000)])
    made = make_evictor(record, Limits(5_000, None, rule))
    assert len(made.victims(Excess(1, 0), clock())) == 1
    assert len(set(made.victims(Excess(100, 0), clock()))) == 100
    assert record.most == 3_200


# -- greedy dual --------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 500), st.integers(0, 300), st.floats(0, 50)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 40),
)
def test_greedy_dual_orders_by_worth(rows: list[tuple[int, int, int, float]], goes: int) -> None:
    """Before anything was evicted the worth is uses * tokens / bytes; afterwards L never falls."""
    made = GreedyDual(MemoryEntries())
    usages = [
        Usage(str(i), size, uses, tokens, at) for i, (uses, size, tokens, at) in enumerate(rows)
    ]
    ranked = made.ranked(usages)
    worths = [(row.uses + 1) * max(row.tokens, 1) / row.size for row in ranked]
    assert worths == sorted(worths)
    made.evicted(ranked[:goes], now=100.0)
    assert made._levels == sorted(made._levels)
    assert made._levels[-1] == worths[:goes][-1]
    late = Usage("late", 100, 0, 0, 200.0)
    assert made._worth(late) == pytest.approx(made._levels[-1] + 0.01)


def test_greedy_duals_history_is_bounded() -> None:
    """Thousands of evictions leave some hundred steps, in order, and the newest is exact."""
    made = GreedyDual(MemoryEntries())
    for now in range(5_000):
        made.evicted([Usage("a", 1, now, 1, -1.0)], now=float(now))
    assert len(made._times) == len(made._levels) <= 513
    assert made._times == sorted(made._times)
    assert made._levels == sorted(made._levels)
    assert made._levels[-1] == 5_000


def test_a_clock_that_goes_back_leaves_the_history_in_order() -> None:
    """Times are kept ascending."""
    made = GreedyDual(MemoryEntries())
    made.evicted([Usage("a", 1, 1, 1, -1.0)], now=50.0)
    made.evicted([Usage("a", 1, 9, 1, -1.0)], now=40.0)
    assert made._times[1:] == [50.0, 50.0]


@pytest.mark.parametrize(
    "kept",
    ["", "nonsense", "[]", "[[1],[2],[3]]", "[[2,1],[0,1]]", "[[1,2],[2,1]]", "[[1],[]]", "7",
     '[["a"],["b"]]', "[[0,1],[0,1e999]]"],
)  # fmt: skip
def test_a_damaged_history_begins_anew(kept: str) -> None:
    """Nothing is raised, and the rule works."""
    record = MemoryEntries()
    record.set_meta("eviction.gdsf", kept)
    made = GreedyDual(record)
    assert made._levels == [0.0]
    made.save()
    assert record.meta("eviction.gdsf") == kept  # nothing was learnt yet
    made.evicted([Usage("a", 1, 1, 1, -1.0)], now=1.0)
    made.save()
    assert json.loads(record.meta("eviction.gdsf") or "")[1] == [0.0, 2.0]


# -- the sketch ---------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 30), max_size=200))
def test_the_sketch_never_counts_too_little(names: Sequence[int]) -> None:
    """Up to its highest count, and as long as nothing was forgotten."""
    sketch = Sketch(100)
    for name in names:
        sketch.add(str(name))
    for name in range(31):
        assert sketch.count(str(name)) >= min(names.count(name), 15)


def test_the_sketch_is_nearly_exact() -> None:
    """With as many keys as it was made for, few are counted too high."""
    sketch, drawn = Sketch(1_000), random.Random(0)
    asked = [drawn.randrange(1_000) for _ in range(5_000)]
    for name in asked:
        sketch.add(str(name))
    wrong = sum(sketch.count(str(n)) != min(asked.count(n), 15) for n in range(1_000))
    assert wrong < 50


def test_the_sketch_forgets() -> None:
    """After ten times its capacity in requests every count is halved."""
    sketch = Sketch(10)
    for _ in range(20):
        sketch.add("a")
    assert sketch.count("a") == 15
    for i in range(80):
        sketch.add(f"other {i}")
    assert sketch.count("a") == 7


def test_the_sketch_travels_as_text() -> None:
    """A sketch of the same size takes it over; another, or damaged text, changes nothing."""
    sketch, same, larger = Sketch(100), Sketch(100), Sketch(1_000)
    for i in range(300):
        sketch.add(str(i % 40))
    assert same.load(sketch.dump())
    assert [same.count(str(i)) for i in range(60)] == [sketch.count(str(i)) for i in range(60)]
    before = same._rows
    for text in ("", "?", "\ud800", larger.dump(), sketch.dump()[:-5]):
        assert not same.load(text)
    assert same._rows is before
    assert not larger.load(sketch.dump())


def test_tinylfu_spares_the_newest_hundredth() -> None:
    """Whatever its count: it has not had the time to be asked for again."""
    made = TinyLfu(MemoryEntries(), Limits(None, 4_000_000, "tinylfu"))
    rows = [Usage(str(i), 1, 0, 0, float(i)) for i in range(200)]
    for row in rows[:-2]:
        made.used(row.key)
    ranked = made.ranked(rows)
    assert {row.key for row in ranked[-2:]} == {"198", "199"}
