"""What goes into an embedder and what comes out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semcache_core.embedders._vectors import failing_as_embedder, plain, unit_rows
from semcache_core.errors import ConfigError, EmbedderError


def test_halves_of_a_character_are_joined_or_replaced() -> None:
    """A pair of surrogates becomes its character, a lone one the replacement character."""
    assert plain(["\ud83d\ude00", "a\ud800b", "é"]) == ["😀", "a\ufffdb", "é"]


@pytest.mark.parametrize("rows", [[[3.0, 4.0]], np.array([[3, 4]]), (np.array([0.3, 0.4]),)])
def test_rows_are_normalised(rows: Any) -> None:
    """Lists, arrays and tuples of any length of vector become unit rows of float32."""
    found = unit_rows(rows, 1, "it")
    np.testing.assert_allclose(found, [[0.6, 0.8]], rtol=1e-6)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e300])
def test_extreme_numbers_are_normalised(scale: float) -> None:
    """Squares that overflow or vanish do no harm."""
    np.testing.assert_allclose(
        unit_rows([[3 * scale, 4 * scale]], 1, "it"), [[0.6, 0.8]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0, float("nan")]], "not finite"),
        ([[1.0, float("inf")]], "not finite"),
        ([[0.0, 0.0]], "zeros only"),
        ([1.0, 2.0], r"shape \(2,\) for 1 texts"),
        ([[1.0], [2.0]], r"shape \(2, 1\) for 1 texts"),
        ([[]], r"shape \(1, 0\)"),
        (None, "NoneType"),
        ("vector", "str of"),
        ([["a", "b"]], "list of"),
        ([[1j, 2j]], "complex"),
        ([[1.0, 2.0], [1.0]], "different lengths"),
        ({"data": [1.0]}, "dict"),
    ],
)
def test_what_is_no_matrix_is_named(rows: Any, said: str) -> None:
    """The error says who returned what."""
    with pytest.raises(EmbedderError, match=said) as raised:
        unit_rows(rows, 1, "somebody's model")
    assert "somebody's model" in str(raised.value)


def test_a_changed_dimension_is_refused() -> None:
    """Vectors of another length than before cannot be compared with those."""
    with pytest.raises(EmbedderError, match="of 2 numbers, and of 3 before"):
        unit_rows([[1.0, 2.0]], 1, "it", dimension=3)


def test_no_rows_are_no_error() -> None:
    """An empty matrix stays one."""
    assert unit_rows(np.empty((0, 4)), 0, "it").shape == (0, 4)


def test_foreign_errors_are_translated() -> None:
    """Whatever is raised becomes an EmbedderError that keeps its cause; our own errors pass."""
    no_route = pytest.raises(EmbedderError, match="it failed: OSError: no route")
    with no_route as raised, failing_as_embedder("it"):
        raise OSError("no route")
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(ConfigError), failing_as_embedder("it"):
        raise ConfigError("as it is")
