"""Many scopes in one vector collection: each vector carries its scope. Pure.

A metadata filter would make the vector database find every match of the filter first (75 to
333 ms at 100,000 entries); a collection for each scope would cost 2.7 MB and four file handles
each. So 64 numbers that follow from the scope are appended to each vector: within a scope they
agree, and a search stays there by itself. With unit vectors v, w and salts s, t, and both halves
given the same weight,

    cos([v, s], [w, t]) = (cos(v, w) + cos(s, t)) / 2,

so within a scope, where cos(s, t) = 1, cos(v, w) = 2 cos([v, s], [w, t]) - 1. Of two scopes
cos(s, t) has mean 0 and standard deviation 1/8. The salt is for finding; that nothing crosses
over is checked on the identifier, and again on the row.
"""

from __future__ import annotations

import hashlib

import numpy as np

from semcache_core.models import Matrix, Vector

SALT = 64
"""Numbers appended. With 32, one search in a hundred found a neighbour scope's entry first."""

_HALF = np.float32(np.sqrt(0.5))


def tag(scope: str) -> str:
    """Sixteen hex digits that stand for a scope at the head of an identifier."""
    return hashlib.sha256(scope.encode()).hexdigest()[:16]


def salt(scope: str) -> Vector:
    """Unit vector of shape (64,): the signs are bits of the scope's SHA-256.

    Not a random generator's numbers, as those may differ between versions of numpy, and an index
    outlives an upgrade.
    """
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(scope.encode()).digest()[:8], np.uint8))
    signs: Vector = (bits.astype(np.float32) * 2 - 1) / np.float32(np.sqrt(SALT))
    return signs


def salted(scope: str, vectors: Matrix) -> Matrix:
    """Unit rows of shape (n, dimension) become unit rows of shape (n, dimension + 64)."""
    salts = np.broadcast_to(salt(scope), (len(vectors), SALT))
    rows: Matrix = np.hstack([vectors, salts]) * _HALF
    return rows


def similarity(distance: float) -> float:
    """Cosine of the unsalted vectors of one scope, from the cosine distance of the salted ones."""
    return 1.0 - 2.0 * distance
