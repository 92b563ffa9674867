"""What goes into an embedder and what comes out of it, checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from semcache_core.errors import EmbedderError, SemcacheError
from semcache_core.models import Matrix


def plain(texts: Sequence[str]) -> list[str]:
    """The texts, with lone surrogates replaced: half a character must not fail a whole batch."""
    if isinstance(texts, str):
        raise EmbedderError("embed takes a list of texts; a single str was given")
    return [_plain(text) for text in texts]


def _plain(text: str) -> str:
    if not isinstance(text, str):
        raise EmbedderError(f"embed takes texts; a {type(text).__name__} was given")
    if text.isascii():
        return text
    # Halves that stand side by side become the character they are halves of.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encodable(text: str) -> bool:
    """Whether the text is free of lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unit_rows(rows: Any, count: int, source: str, dimension: int | None = None) -> Matrix:
    """Rows of unit length, shape (count, dimension), float32, contiguous.

    Raises `EmbedderError`, which says what `source` returned, for anything else than `count`
    finite, non-zero rows of one length.
    """
    matrix = _numbers(rows, source)
    if matrix.ndim != 2 or matrix.shape[0] != count or matrix.shape[1] == 0:
        raise EmbedderError(
            f"{source} returned an array of shape {matrix.shape} for {count} texts; "
            f"one vector for each text is needed: shape ({count}, dimension)"
        )
    if dimension is not None and matrix.shape[1] != dimension:
        raise EmbedderError(
            f"{source} returned vectors of {matrix.shape[1]} numbers, and of {dimension} before"
        )
    return _normalised(matrix, source)


def _numbers(rows: Any, source: str) -> Matrix:
    try:
        matrix = np.asarray(rows)
    except ValueError as error:  # lists of different lengths
        raise EmbedderError(f"{source} returned vectors of different lengths: {error}") from error
    if matrix.dtype.kind not in "fiu":
        raise EmbedderError(
            f"{source} returned {type(rows).__name__} of {matrix.dtype}, not vectors of numbers"
        )
    return matrix


def _normalised(matrix: Matrix, source: str) -> Matrix:
    # Scaled first, so that squares neither overflow nor vanish.
    peaks = np.abs(matrix).max(axis=1, keepdims=True) if len(matrix) else matrix
    if not np.isfinite(peaks).all():
        raise EmbedderError(f"{source} returned numbers that are not finite")
    if not peaks.all():
        raise EmbedderError(f"{source} returned a vector of zeros only")
    scaled = matrix / peaks if len(matrix) else matrix
    rows = scaled / np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return np.ascontiguousarray(rows, dtype=np.float32)


@contextmanager
def failing_as_embedder(source: str) -> Iterator[None]:
    """Whatever goes wrong inside is an `EmbedderError` that names the source."""
    try:
        yield
    except SemcacheError:
        raise
    except Exception as error:
        raise EmbedderError(f"{source} failed: {type(error).__name__}: {error}") from error
