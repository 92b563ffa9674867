"""Candidates scored as a lookup scores them, with what was said of two texts remembered.

Streams repeat pairs of texts, and seeds repeat streams. What an evaluator makes of a whole set of
candidates is computed each time: the default one looks at all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from semcache_core.embedders import make_embedder
from semcache_core.evaluators import Cosine, Guards, Verifier, default_evaluator
from semcache_core.evaluators import evaluate as ranked
from semcache_core.evaluators.careful import Careful
from semcache_core.evaluators.guards import _pair
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.models import Candidate, Query, Score, Scored
from semcache_core.protocols import Evaluator


class Scores:
    """An evaluator as a lookup uses it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def __call__(self, query: Query, near: Sequence[Candidate]) -> list[Scored]:
        """The candidates that no guard rejects, best first."""
        return [one for one in ranked(self._evaluator, query, near) if not one.score.rejected]


class _Guards(Guards):
    """Guards that look at every two texts once."""

    def __init__(self, guards: Guards) -> None:
        super().__init__(guards.guards)
        self._known: dict[Pair, Score] = {}

    def of_pair(self, pair: Pair) -> Score:
        if pair not in self._known:
            self._known[pair] = super().of_pair(pair)
        return self._known[pair]


class _Verifier(Verifier):
    """A verifier that looks at every two texts once: their cosine is always the same."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Pair, float] = {}

    def of_pair(self, pair: Pair, cosine: float) -> float:
        if pair not in self._known:
            self._known[pair] = super().of_pair(pair, cosine)
        return self._known[pair]


def scores(name: str) -> Scores:
    """Of the cosine alone, or of what a cache uses by default."""
    if name == "cosine":
        return Scores(Cosine())
    made = default_evaluator(make_embedder("all-MiniLM-L6-v2"))
    inside = getattr(made, "_evaluator", None)
    if isinstance(inside, Careful):
        inside.guards, inside.verifier = _Guards(inside.guards), _Verifier()
    _pair._kept = lru_cache(maxsize=None)(_pair._kept.__wrapped__)
    return Scores(made)
