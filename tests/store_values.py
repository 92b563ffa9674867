"""Entries to test with."""

from __future__ import annotations

from typing import Any

import numpy as np

from semcache_core.models import Entry, Vector

DIMENSION = 8


def unit(seed: int, dimension: int = DIMENSION) -> Vector:
    """A unit vector that is the same for the same seed."""
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def near(vector: Vector, similarity: float, seed: int = 0) -> Vector:
    """A unit vector at this cosine similarity from `vector`."""
    other = np.random.default_rng(seed + 10**6).standard_normal(len(vector))
    other -= (other @ vector) * vector
    other /= np.linalg.norm(other)
    made = similarity * vector + np.sqrt(1 - similarity**2) * other
    return (made / np.linalg.norm(made)).astype(np.float32)


def entry(key: str, **fields: Any) -> Entry:
    """An entry of scope "scope" whose vector follows from its key."""
    given: dict[str, Any] = {
        "scope": "scope",
        "namespace": "",
        "payload": b"answer",
        "created": 0.0,
        "query": f"question {key}",
        "vector": unit(sum(key.encode())),
    }
    return Entry(key=key, **(given | fields))


def wide(seed: int) -> Vector:
    """A unit vector of 24 numbers that has no other near it."""
    return unit(seed, 24)


class Wide:
    """The least of an embedder that a store asks for: a name and a length."""

    def __init__(self, identity: str = "wide") -> None:
        self.identity = identity
        self.dimension = 24
