"""The pure rules of expiry and eviction, and the structures they act on, against simple models."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_values import entry, unit

from semcache_core.entries.memory import MemoryEntries
from semcache_core.entries.sql import SqlEntries
from semcache_core.errors import ConfigError
from semcache_core.expiry import (
    RULES,
    Limits,
    admitted,
    check_rule,
    check_ttl,
    dated,
    excess,
    take,
)
from semcache_core.indexes.matrix import ScopeMatrix
from semcache_core.indexes.salt import SALT, salt, salted, similarity, tag
from semcache_core.models import Change, Figures
from semcache_core.store.hot import HotTier

sizes = st.lists(st.integers(0, 200), max_size=30)
limits = st.builds(
    Limits,
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 3000),
    st.sampled_from(RULES),
)


def batch_of(lengths: list[int]) -> list[Any]:
    """Entries whose payloads have these lengths."""
    return [
        entry(f"k{i}", payload=bytes(n), vector=None, query=None) for i, n in enumerate(lengths)
    ]


# -- expiry -------------------------------------------------------------------------------------


@given(
    created=st.floats(0, 1e9),
    ttl=st.none() | st.floats(1e-3, 1e9),
    own=st.none() | st.floats(0, 1e9),
)
def test_end_of_an_entry(created: float, ttl: float | None, own: float | None) -> None:
    """Its own end, else the cache's, else none."""
    end = dated(entry("a", created=created, expires=own), ttl).expires
    assert end == (own if own is not None else None if ttl is None else created + ttl)


@given(ttl=st.none() | st.floats(1e-3, 1e9), now=st.floats(0, 1e12))
def test_infinite_end_outlives_any_ttl(ttl: float | None, now: float) -> None:
    """An infinite end means never, and is stored as none."""
    made = dated(entry("a", expires=math.inf), ttl)
    assert made.expires is None
    assert not made.expired(now)


@given(created=st.floats(0, 1e9), last=st.floats(0, 1e9))
def test_creation_is_the_first_use(created: float, last: float) -> None:
    """An entry that was never used counts as used when it was made."""
    assert dated(entry("a", created=created, last_used=last), None).last_used == (last or created)


@given(lengths=sizes, limits=limits)
def test_what_is_admitted_fits_at_once(lengths: list[int], limits: Limits) -> None:
    """The admitted part is within both limits, in order, and only makes room when it must."""
    batch = batch_of(lengths)
    kept = admitted(batch, limits)
    assert [e for e in batch if e in kept] == kept
    assert limits.max_entries is None or len(kept) <= limits.max_entries
    assert limits.max_bytes is None or sum(e.size for e in kept) <= limits.max_bytes
    if sum(lengths) <= (limits.max_bytes or math.inf) and len(batch) <= (
        limits.max_entries or math.inf
    ):
        assert kept == batch
    if batch and batch[-1].size <= (limits.max_bytes or math.inf):
        assert kept[-1] is batch[-1]


@given(held=sizes, new=sizes, limits=limits)
def test_eviction_makes_enough_room(held: list[int], new: list[int], limits: Limits) -> None:
    """After what is due has gone, the batch fits; nothing is due while all fits."""
    batch = admitted(batch_of(new), limits)
    figures = Figures(seq=0, count=len(held), size=sum(held))
    over = excess(figures, batch, limits)
    rows = [(f"h{i}", size) for i, size in enumerate(held)]
    gone = set() if over is None else set(take(rows, over.entries, over.size))
    left = [size for name, size in rows if name not in gone]
    fits = len(held) + len(batch) <= (limits.max_entries or math.inf) and sum(held) + sum(
        e.size for e in batch
    ) <= (limits.max_bytes or math.inf)
    assert (over is None) == fits
    assert len(left) + len(batch) <= (limits.max_entries or math.inf)
    assert sum(left) + sum(e.size for e in batch) <= (limits.max_bytes or math.inf)


@given(count=st.integers(1, 10**6))
def test_slack_is_small(count: int) -> None:
    """A full cache evicts a little more than one entry, and never many at once."""
    over = excess(Figures(0, count, 0), batch_of([1]), Limits(max_entries=count))
    assert over is not None
    assert 1 <= over.entries <= 1 + min(count // 50, 256)


@given(
    rows=st.lists(st.tuples(st.text(max_size=3), st.integers(0, 50)), max_size=30),
    n=st.integers(-5, 40),
    size=st.integers(-5, 900),
)
def test_take_is_the_shortest_prefix_that_suffices(
    rows: list[tuple[str, int]], n: int, size: int
) -> None:
    """One key fewer would not make up for the excess."""
    keys = take(rows, n, size)
    assert keys == [key for key, _ in rows[: len(keys)]]

    def enough(count: int) -> bool:
        return count >= n and sum(s for _, s in rows[:count]) >= size

    assert enough(len(keys)) or len(keys) == len(rows)
    assert not keys or not enough(len(keys) - 1)


@pytest.mark.parametrize("value", [0, -1, True, 0.5])
def test_limits_are_checked(value: Any) -> None:
    """A limit that cannot work is named."""
    with pytest.raises(ConfigError, match="max_entries"):
        Limits(max_entries=value)
    with pytest.raises(ConfigError, match="max_bytes"):
        Limits(max_bytes=value)


@pytest.mark.parametrize("value", [0, -1.0, "1h", math.nan])
def test_ttl_is_checked(value: Any) -> None:
    """A time to live that cannot work is named."""
    with pytest.raises(ConfigError, match="ttl"):
        check_ttl(value)


def test_rule_is_checked() -> None:
    """An unknown rule is named, with those that exist."""
    with pytest.raises(ConfigError, match=r"lru, lfu, fifo, random.*'mru'"):
        check_rule("mru")


# -- the salt -----------------------------------------------------------------------------------

scopes = st.text(max_size=20)


@given(scope=scopes, seeds=st.lists(st.integers(0, 10**6), min_size=2, max_size=2))
def test_salt_keeps_the_cosine(scope: str, seeds: list[int]) -> None:
    """Within a scope the cosine comes back from the distance of the salted vectors."""
    rows = np.stack([unit(seed) for seed in seeds])
    made = salted(scope, rows)
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-5)
    distance = 1 - float(made[0] @ made[1])
    assert similarity(distance) == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)


@given(one=scopes, two=scopes)
def test_salts_differ(one: str, two: str) -> None:
    """A scope always has the same salt and tag, and another scope others."""
    assert salt(one).shape == (SALT,)
    assert (one == two) == (tag(one) == tag(two)) == bool(np.array_equal(salt(one), salt(two)))


def test_salt_is_the_same_for_ever() -> None:
    """An index on disk outlives this program: the salt may never change."""
    assert tag("scope") == "5f161c9149882e0e"
    assert "".join("-" if value < 0 else "+" for value in salt("scope")[:12]) == "-+-+++++---+"


# -- structures ---------------------------------------------------------------------------------

keys = st.sampled_from([f"k{i}" for i in range(12)])


class MatrixMachine(RuleBasedStateMachine):
    """A matrix does what a dictionary and a sort would do."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = ScopeMatrix()
        self.model: dict[str, tuple[int, Any]] = {}
        self.seq = 0

    @rule(key=keys, seed=st.integers(0, 1000), back=st.integers(0, 5))
    def put(self, key: str, seed: int, back: int) -> None:
        self.seq += 1
        seq = max(self.seq - back, 1)
        self.matrix.apply(Change(seq, key, "s", entry(key, vector=unit(seed))))
        if key not in self.model or seq > self.model[key][0]:
            self.model[key] = seq, unit(seed)

    @rule(key=keys, back=st.integers(0, 5))
    def delete(self, key: str, back: int) -> None:
        self.seq += 1
        seq = max(self.seq - back, 1)
        self.matrix.apply(Change(seq, key, "s"))
        if key in self.model and self.model[key][0] <= seq:
            del self.model[key]

    @rule(back=st.integers(0, 8))
    def trim(self, back: int) -> None:
        self.matrix.trim(self.seq - back)
        self.model = {k: v for k, v in self.model.items() if v[0] > self.seq - back}

    @precondition(lambda self: len({seq for seq, _ in self.model.values()}) == len(self.model))
    @rule(count=st.integers(0, 12))
    def keep_newest(self, count: int) -> None:
        self.matrix.trim(self.matrix.newest(count))
        newest = sorted(seq for seq, _ in self.model.values())[-count:] if count else []
        self.model = {k: v for k, v in self.model.items() if newest and v[0] >= newest[0]}

    @rule(seed=st.integers(0, 1000), k=st.integers(0, 14))
    def search(self, seed: int, k: int) -> None:
        found = self.matrix.nearest(unit(seed), k)
        cosines = {key: float(vector @ unit(seed)) for key, (_, vector) in self.model.items()}
        best = sorted(cosines.values(), reverse=True)[:k]
        assert [n.similarity for n in found] == pytest.approx(best, abs=1e-5)
        assert all(n.similarity == pytest.approx(cosines[n.key], abs=1e-5) for n in found)

    @invariant()
    def same_size(self) -> None:
        assert len(self.matrix) == len(self.model)


class HotMachine(RuleBasedStateMachine):
    """The hot tier is an LRU within both limits, and never holds what was overtaken."""

    def __init__(self) -> None:
        super().__init__()
        self.hot = HotTier(5, 400)
        self.model: OrderedDict[str, Any] = OrderedDict()
        self.seq = 0

    def shrink(self) -> None:
        while len(self.model) > 5 or sum(e.size for e in self.model.values()) > 400:
            self.model.popitem(last=False)

    @rule(key=keys, length=st.integers(0, 150), stale=st.booleans())
    def add(self, key: str, length: int, stale: bool) -> None:
        self.seq += 1
        made = entry(key, payload=bytes(length), vector=None).at(self.seq)
        self.hot.add([made], self.hot.epoch - stale)
        self.model.pop(key, None)
        if not stale:
            self.model[key] = made
            self.shrink()

    @rule(key=keys)
    def add_older(self, key: str) -> None:
        if key in self.model:
            self.hot.add([entry(key).at(self.model[key].seq - 1)], self.hot.epoch)

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert self.hot.get(key) is self.model.get(key)
        if key in self.model:
            self.model.move_to_end(key)

    @rule(key=keys, ahead=st.integers(-2, 2))
    def follow(self, key: str, ahead: int) -> None:
        seq = self.seq + ahead
        epoch = self.hot.epoch
        self.hot.follow([Change(seq, key, "s")])
        assert self.hot.epoch > epoch
        if key in self.model and self.model[key].seq < seq:
            del self.model[key]

    @rule()
    def clear(self) -> None:
        self.hot.clear()
        self.model.clear()

    @invariant()
    def same(self) -> None:
        assert len(self.hot) == len(self.model)


class RecordMachine(RuleBasedStateMachine):
    """The record in SQL and the record in memory are one and the same."""

    def __init__(self) -> None:
        super().__init__()
        self.both: list[Any] = []
        self.seqs = [0]

    @initialize()
    def open(self) -> None:
        self.both = [MemoryEntries(), SqlEntries("sqlite://")]

    def teardown(self) -> None:
        for record in self.both:
            record.close()

    def agree(self, ask: Any) -> Any:
        one, two = (ask(record) for record in self.both)
        assert one == two
        return one

    @rule(
        names=st.lists(keys, max_size=4),
        scope=st.sampled_from("st"),
        namespace=st.sampled_from(["", "n"]),
        exact=st.booleans(),
        expires=st.none() | st.integers(1, 5),
        used=st.integers(0, 5),
    )
    def put(
        self,
        names: list[str],
        scope: str,
        namespace: str,
        exact: bool,
        expires: int | None,
        used: int,
    ) -> None:
        batch = [
            entry(
                key,
                scope=scope,
                namespace=namespace,
                expires=expires,
                last_used=float(used),
                **({"vector": None} if exact else {}),
            )
            for key in names
        ]
        self.seqs += self.agree(lambda record: [e.seq for e in record.put(batch)])

    @rule(names=st.lists(keys, max_size=4))
    def delete(self, names: list[str]) -> None:
        self.seqs += [c.seq for c in self.agree(lambda record: record.delete(names))]

    @rule(names=st.lists(keys, max_size=4), used=st.integers(0, 9))
    def touch(self, names: list[str], used: int) -> None:
        for record in self.both:
            record.touch({key: (1, float(used)) for key in names})

    @rule(after=st.integers(0, 40), limit=st.integers(1, 20))
    def changes(self, after: int, limit: int) -> None:
        # Clearing all may be told as tombstones, or as the advice to start anew.
        logs = [record.changes(after, limit) for record in self.both]
        if None not in logs:
            one, two = ([(c.seq, c.key, c.scope, c.entry is None) for c in log] for log in logs)
            assert one == two

    @rule(
        order=st.sampled_from(["lru", "lfu", "fifo"]),
        n=st.integers(0, 5),
        size=st.integers(0, 400),
        now=st.integers(0, 6),
    )
    def doomed(self, order: str, n: int, size: int, now: int) -> None:
        one, two = (record.doomed(order, n, size, float(now)) for record in self.both)
        assert len(one) == len(two)

    @rule(scope=st.sampled_from("stu"))
    def scope(self, scope: str) -> None:
        self.agree(lambda record: [(e.key, e.seq) for e in record.scope(scope)])
        self.agree(lambda record: record.count(scope))

    @rule(namespace=st.sampled_from(["", "n", "m"]))
    def clear(self, namespace: str) -> None:
        self.agree(lambda record: record.clear(namespace))

    @rule(
        name=st.sampled_from("ab"), old=st.none() | st.sampled_from("xy"), new=st.sampled_from("xy")
    )
    def meta(self, name: str, old: str | None, new: str) -> None:
        self.agree(lambda record: record.swap_meta(name, old, new))
        self.agree(lambda record: record.meta(name))

    @invariant()
    def same(self) -> None:
        if self.both:
            figures = self.agree(lambda record: record.figures())
            assert figures.seq >= max(self.seqs)
            rows = self.agree(
                lambda record: [(e.key, e.seq, e.uses, e.last_used) for e in record.entries()]
            )
            assert figures.count == len(rows)
            assert figures.size == sum(e.size for e in self.both[0].entries())


TestMatrix = MatrixMachine.TestCase
TestHot = HotMachine.TestCase
TestRecord = RecordMachine.TestCase
TestRecord.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
