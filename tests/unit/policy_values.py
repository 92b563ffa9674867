"""Entries, queries and scored candidates for the tests of policies."""

from __future__ import annotations

import numpy as np

from semcache_core.models import Candidate, Entry, Prompt, Query, Score, Scored

QUERY = Query("how do I pay?", np.zeros(2, np.float32))
PROMPT = Prompt("scope", "key", "how do I pay?")


def entry(key: str = "k", answer: bytes = b"a", namespace: str = "", uses: int = 0) -> Entry:
    """An entry with an answer of its own, or a shared one."""
    return Entry(key, "scope", namespace, answer, created=0.0, query=key, uses=uses)


def scored(
    value: float,
    *,
    key: str = "k",
    answer: bytes = b"a",
    similarity: float | None = None,
    namespace: str = "",
    rejected: bool = False,
) -> Scored:
    """A candidate whose similarity is its value unless given."""
    near = value if similarity is None else similarity
    score = Score(value, "guard" if rejected else "cosine", "why" if rejected else "", rejected)
    return Scored(Candidate(entry(key, answer, namespace), near), score)
