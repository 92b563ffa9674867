"""Rows in bits: whatever the vectors, the nearest are among the rows that are left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.errors import ConfigError
from semcache_core.indexes import bits, matrix
from semcache_core.indexes.bits import Bits
from semcache_core.indexes.matrix import ScopeMatrix
from semcache_core.indexes.rows import cosines, packed, plain
from semcache_core.models import Matrix, Vector, VectorPage


def unit(rows: Matrix) -> Matrix:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def crowd(seed: int, count: int, spread: float, dimension: int = 384) -> Matrix:
    """Vectors around one direction: the smaller the spread, the harder to tell apart."""
    random = np.random.default_rng(seed)
    middle = random.standard_normal(dimension)
    cloud = middle + spread * random.standard_normal((count, dimension))
    return unit(cloud.astype(np.float32))


@given(
    seed=st.integers(0, 1_000),
    count=st.integers(1, 400),
    spread=st.sampled_from([0.0, 1e-4, 0.01, 0.3, 5.0]),
    dimension=st.sampled_from([48, 384]),
    k=st.integers(1, 12),
)
@settings(deadline=None, max_examples=30)
def test_no_neighbour_is_lost(seed: int, count: int, spread: float, dimension: int, k: int) -> None:
    """The k nearest of the floats are among the places, and their cosines are right."""
    rows = crowd(seed, count + 1, spread, dimension)
    query, rows = rows[0], rows[1:]
    places, near = Bits.of(rows, count).nearest(rows, query, k, -1.0)
    exact = np.sort(rows @ query)[-k:]
    assert np.allclose(np.sort(near)[-k:], exact, atol=1e-6)
    assert np.allclose(rows[places] @ query, near, atol=1e-6)


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_none_in_many_searches_is_lost(spread: float) -> None:
    """Among 5,000 rows, every neighbour at or above the floor is found, search after search."""
    rows = crowd(7, 5_600, spread)
    asked, rows = unit(rows[:150] + 0.3 * rows[600:750]), rows[600:]
    held, stored = Bits.of(rows, 5_000), packed(rows)
    for query in asked:
        near = held.nearest(stored, query, 5, 0.5)[1]
        exact = np.sort(rows @ query)[-5:]
        wanted = exact[exact >= 0.5]
        assert np.allclose(np.sort(near)[len(near) - len(wanted) :], wanted, atol=1e-4)


def test_most_rows_are_left_out() -> None:
    """Of vectors that differ, few are compared in full; below the floor hardly one."""
    rows = crowd(1, 20_001, 1.0)
    held = Bits.of(rows[1:], 20_000)
    assert len(held.nearest(rows[1:], rows[1], 5, 0.8)[0]) < 400
    assert len(held.nearest(rows[1:], unit(-rows[:1])[0], 5, 0.5)[0]) < 10


def test_rows_in_sixteen_bits() -> None:
    """They come back, and their cosines are right, to four digits; also a little over 1."""
    rows = np.concatenate([crowd(2, 50, 1.0), 1.004 * np.eye(384, dtype=np.float32)[:1]])
    assert np.allclose(plain(packed(rows)), rows, atol=0.005)
    assert np.allclose(cosines(packed(rows[:50]), rows[0]), rows[:50] @ rows[0], atol=1e-4)


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> ScopeMatrix:
    """A matrix that uses bits from the fourth row on."""
    monkeypatch.setattr(matrix, "_CODED", 3)
    return ScopeMatrix()


def nearest(held: ScopeMatrix, query: Vector, k: int = 3) -> list[str]:
    return [each.key for each in held.nearest(query, k)]


def test_bits_follow_the_rows(coded: ScopeMatrix) -> None:
    """Searches between additions, replacements, deletions and trims are those of a plain list."""
    random = np.random.default_rng(4)
    plainly: dict[str, tuple[int, Vector]] = {}
    rows = crowd(5, 600, 1.0)
    for seq, row in enumerate(rows, 1):
        key = f"k{random.integers(200)}"
        if random.random() < 0.3:
            coded.delete(key, seq)
            plainly.pop(key, None)
        else:
            coded.upsert(key, seq, row)
            plainly[key] = seq, row
        if seq % 197 == 0:
            coded.trim(seq - 160)
            plainly = {key: held for key, held in plainly.items() if held[0] > seq - 160}
        query = rows[random.integers(600)]
        ranked = sorted(plainly, key=lambda key: -float(plainly[key][1] @ query))
        found = nearest(coded, query)
        best = [float(plainly[key][1] @ query) for key in ranked[:3]]
        assert [float(plainly[key][1] @ query) for key in found] == pytest.approx(best, abs=1e-4)


def test_pages_are_added_as_single_rows_are(coded: ScopeMatrix) -> None:
    """Pages of new, of replaced and of stale rows leave what the same rows leave one by one."""
    rows, single = crowd(8, 60, 1.0), ScopeMatrix()
    named = [f"k{at % 45}" for at in range(60)]
    seqs = np.arange(1, 61)
    seqs[50] = 2
    for part in (slice(0, 2), slice(2, 2), slice(2, 40), slice(40, 60)):
        coded.extend(VectorPage(named[part], seqs[part], rows[part], ahead=30))
    for key, seq, row in zip(named, seqs.tolist(), rows, strict=True):
        single.upsert(key, seq, row)
    coded.settle()
    assert coded._bits is not None
    for query in rows:
        assert nearest(coded, query, 60) == nearest(single, query, 60)
    with pytest.raises(ConfigError, match="shape"):
        coded.extend(VectorPage(["other"], np.array([99]), rows[:1, :96]))


def test_planes_are_at_right_angles() -> None:
    """All that a dimension needs, also where words are not filled by it."""
    turned = bits._planes(384).astype(np.float64)
    assert np.allclose(turned @ turned.T, np.eye(384), atol=1e-6)
    assert bits._planes(100).shape == (128, 100)


def test_with_an_older_numpy(coded: ScopeMatrix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats are scanned where bits cannot be counted."""
    monkeypatch.setattr(bits, "usable", False)
    rows = crowd(6, 20, 1.0)
    for seq, row in enumerate(rows, 1):
        coded.upsert(str(seq), seq, row)
    assert nearest(coded, rows[7], 1) == ["8"]
