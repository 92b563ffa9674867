"""Queries and candidates for the tests of evaluators."""

from __future__ import annotations

import numpy as np

from semcache_core.models import Candidate, Entry, Query


def query(text: str, turns: tuple[str, ...] = ()) -> Query:
    """A query whose vector does not matter."""
    return Query(text, np.array([1.0, 0.0], np.float32), turns)


def candidate(
    text: str | None,
    similarity: float = 0.9,
    *,
    turns: tuple[str, ...] = (),
    created: float = 0.0,
    payload: bytes = b"",
) -> Candidate:
    """A stored question."""
    entry = Entry(
        key=text or "",
        scope="s",
        namespace="",
        payload=payload,
        created=created,
        query=text,
        turns=turns,
    )
    return Candidate(entry, similarity)
