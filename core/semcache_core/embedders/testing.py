"""An embedder for tests: deterministic, fast, without a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import SupportsFloat

import numpy as np

from semcache_core.embedders._digest import digest_json
from semcache_core.embedders._vectors import encodable, plain, unit_rows
from semcache_core.errors import ConfigError
from semcache_core.models import Matrix, Vector

_WORD = re.compile(r"\w+|[^\w\s]")
_LETTERS = 3
_LONG = 6
_PIECE_WEIGHT = 0.2
_WEIGHTLESS = 0.05


class HashEmbedder:
    """A `protocols.Embedder` that hashes words and groups of three letters: alike texts are near.

    Feature hashing with signs (Weinberger et al. 2009, arXiv 0902.2206, section 2), by SHA-256,
    so that the vectors are the same on every machine. `synonyms`: words that count as others
    ({"film": "movie"}). `vectors`: texts with given vectors, of length `dimension`. Raises
    `ConfigError` for arguments that cannot work.
    """

    def __init__(
        self,
        dimension: int = 256,
        *,
        synonyms: Mapping[str, str] | None = None,
        vectors: Mapping[str, Sequence[SupportsFloat]] | None = None,
    ) -> None:
        if not isinstance(dimension, int) or dimension < 2:
            raise ConfigError(f"dimension: {dimension!r} was given; it is a number of at least 2")
        self._dimension = dimension
        self._synonyms = {a.lower(): b.lower() for a, b in (synonyms or {}).items()}
        self._vectors = {text: _given(text, v, dimension) for text, v in (vectors or {}).items()}
        given = sorted((text, row.tolist()) for text, row in self._vectors.items())
        told = digest_json([dimension, sorted(self._synonyms.items()), given])
        self._identity = f"hash:{told[:16]}"

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimension(self) -> int:
        return self._dimension

    def fits(self, text: str) -> bool:
        """Any text, unless it holds half a character."""
        return encodable(text)

    def embed(self, texts: Sequence[str]) -> Matrix:
        texts = plain(texts)
        rows = [self._vectors[t] if t in self._vectors else self._hashed(t) for t in texts]
        stacked = np.stack(rows) if rows else np.empty((0, self._dimension), np.float32)
        return unit_rows(stacked, len(texts), "HashEmbedder")

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        return self.embed(texts)

    def _hashed(self, text: str) -> Vector:
        row = np.zeros(self._dimension, np.float32)
        for feature, weight in self._features(text):
            place, sign = _place(feature)
            row[place % self._dimension] += sign * weight
        return row if row.any() else self._hashed(text + "\0")  # features that cancel each other

    def _features(self, text: str) -> Iterator[tuple[str, float]]:
        yield text[:0], _WEIGHTLESS  # so that a text without words has a direction, too
        for found in _WORD.findall(text.lower()):
            word = self._synonyms.get(found, found)
            # Long words say more than "is" and "the"; a list of those would know one language.
            yield f"word {word}", min(len(word), _LONG) / _LONG
            framed = f"<{word}>"
            for start in range(len(framed) - _LETTERS + 1):
                yield framed[start : start + _LETTERS], _PIECE_WEIGHT


@lru_cache(maxsize=65_536)
def _place(feature: str) -> tuple[int, int]:
    digest = hashlib.sha256(feature.encode()).digest()
    return int.from_bytes(digest[:8], "big"), 1 if digest[8] & 1 else -1


def _given(text: str, vector: Sequence[SupportsFloat], dimension: int) -> Vector:
    row = np.asarray(vector, np.float32)
    if row.shape != (dimension,) or not np.isfinite(row).all() or not row.any():
        raise ConfigError(
            f"vectors: the one of {text!r} has shape {row.shape}; it needs {dimension} finite "
            "numbers that are not all zero"
        )
    return row
