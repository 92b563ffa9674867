"""k-reciprocal neighbours: the query must be near the entry as its own neighbours are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.evaluators._base import BaseEvaluator, described, unit
from semcache_core.models import Candidate, Entry, Query, Score

Neighbours = Callable[[Entry, int], Sequence[float]]
"""Similarities of the (at most) k stored entries nearest to an entry, itself left out."""


class KReciprocal(BaseEvaluator):
    """The cosine, if fewer than k stored entries are nearer to the candidate than the query is.

    Zhong et al. 2017, "Re-ranking Person Re-identification with k-reciprocal Encoding", section
    3.2. Ties count for the query, so that an identical question always passes (GPTCache asked for
    a distance strictly below, measured with the entry among its own neighbours, and lost them).
    """

    recommended_threshold = 0.9  # a cosine

    def __init__(self, neighbours: Neighbours, k: int = 2) -> None:
        """Raise `ConfigError` for k < 1, `IncompatibleError` without a way to find neighbours."""
        if not callable(neighbours):
            raise IncompatibleError(
                f"neighbours={neighbours!r}: it must be a function (entry, k) -> similarities;"
                " without the entry's k neighbours nothing can be reciprocal"
            )
        if not isinstance(k, int) or k < 1:
            raise ConfigError(f"k={k!r}: at least 1 neighbour is needed")
        self._neighbours = neighbours
        self._k = k

    @property
    def name(self) -> str:
        return "k_reciprocal"

    @property
    def identity(self) -> str:
        return described(self.name, self._k)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        return [self._one(candidate) for candidate in candidates]

    def _one(self, candidate: Candidate) -> Score:
        near = self._neighbours(candidate.entry, self._k)
        nearer = sum(similarity > candidate.similarity + 1e-6 for similarity in near)
        if nearer < self._k:
            return Score(unit(candidate.similarity), self.name)
        return Score(0.0, self.name, f"{nearer} stored questions are nearer to it than the query")
