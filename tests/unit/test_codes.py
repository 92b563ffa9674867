"""Rows in bytes: whatever the vectors, the nearest are among the rows that are left."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.indexes import codes, matrix
from semcache_core.indexes.codes import Codes
from semcache_core.indexes.matrix import ScopeMatrix
from semcache_core.models import Matrix, Vector


def unit(rows: Matrix) -> Matrix:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def crowd(seed: int, count: int, spread: float, dimension: int = 48) -> Matrix:
    """Vectors around one direction: the smaller the spread, the harder to tell apart."""
    random = np.random.default_rng(seed)
    middle = random.standard_normal(dimension)
    cloud = middle + spread * random.standard_normal((count, dimension))
    return unit(cloud.astype(np.float32))


@given(
    seed=st.integers(0, 1_000),
    count=st.integers(1, 80),
    spread=st.sampled_from([0.0, 1e-4, 0.01, 0.3, 5.0]),
    k=st.integers(1, 12),
)
@settings(deadline=None)
def test_no_neighbour_is_lost(seed: int, count: int, spread: float, k: int) -> None:
    """The k nearest of the floats are among the places."""
    rows = crowd(seed, count + 1, spread)
    query, rows = rows[0], rows[1:]
    places = Codes.of(rows, count).nearest(query, k, count)
    assert places is not None
    exact = np.sort(rows @ query)[-k:]
    left = np.sort(rows[places] @ query)[-k:]
    assert np.allclose(exact, left, atol=1e-6)


def test_most_rows_are_left_out() -> None:
    """Of vectors that differ, few have to be compared in full."""
    rows = crowd(1, 2_001, 1.0, 384)
    places = Codes.of(rows[1:], 2_000).nearest(rows[0], 5, 2_000)
    assert places is not None
    assert len(places) < 100


@pytest.mark.parametrize("row", [[1.0] + 47 * [0.0], 48 * [0.0], 48 * [48**-0.5]])
def test_odd_vectors(row: list[float]) -> None:
    """A single component, none, and all alike."""
    rows = np.array([row, *crowd(3, 9, 1.0)], np.float32)
    places = Codes.of(rows, 10).nearest(np.array(row, np.float32), 1, 10)
    assert places is not None
    assert np.any(row) <= (0 in places)


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> ScopeMatrix:
    """A matrix that uses codes from the fourth row on."""
    monkeypatch.setattr(matrix, "_CODED", 3)
    return ScopeMatrix()


def nearest(held: ScopeMatrix, query: Vector, k: int = 3) -> list[str]:
    return [each.key for each in held.nearest(query, k)]


def test_codes_follow_the_rows(coded: ScopeMatrix) -> None:
    """Searches between additions, replacements, deletions and trims are those of a plain list."""
    random = np.random.default_rng(4)
    plain: dict[str, tuple[int, Vector]] = {}
    rows = crowd(5, 400, 0.2)
    for seq, row in enumerate(rows, 1):
        key = f"k{random.integers(60)}"
        if random.random() < 0.3:
            coded.delete(key, seq)
            plain.pop(key, None)
        else:
            coded.upsert(key, seq, row)
            plain[key] = seq, row
        if seq % 97 == 0:
            coded.trim(seq - 60)
            plain = {key: held for key, held in plain.items() if held[0] > seq - 60}
        query = rows[random.integers(400)]
        ranked = sorted(plain, key=lambda key: -float(plain[key][1] @ query))
        assert nearest(coded, query) == ranked[:3]


def test_without_onnxruntime(coded: ScopeMatrix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats are scanned where bytes cannot be."""
    codes._session.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rows = crowd(6, 20, 1.0)
    for seq, row in enumerate(rows, 1):
        coded.upsert(str(seq), seq, row)
    assert nearest(coded, rows[7], 1) == ["8"]
    codes._session.cache_clear()
