"""Candidates scored as a lookup scores them; every pair of texts is scored once."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.embedders import make_embedder
from semcache_core.evaluators import Cosine, default_evaluator
from semcache_core.models import Candidate, Query, Score, Scored
from semcache_core.protocols import Evaluator


class Scores:
    """An evaluator that remembers what it said of two texts: streams repeat pairs, seeds too."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._known: dict[tuple[str, str], Score] = {}

    def __call__(self, query: Query, near: Sequence[Candidate]) -> list[Scored]:
        """The candidates that no guard rejects, best first."""
        keys = [(query.text, one.entry.query or "") for one in near]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            scores = self._evaluator.score(query, [near[i] for i in new])
            self._known.update((keys[i], score) for i, score in zip(new, scores, strict=True))
        scored = [Scored(c, self._known[key]) for c, key in zip(near, keys, strict=True)]
        return sorted((s for s in scored if not s.score.rejected), key=lambda s: -s.value)


def scores(name: str) -> Scores:
    """Of the cosine alone, or of what a cache uses by default."""
    return Scores(
        Cosine() if name == "cosine" else default_evaluator(make_embedder("all-MiniLM-L6-v2"))
    )
