"""k-reciprocal neighbours: the query must be near the entry as its own neighbours are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from semcache_core.errors import ConfigError, EvaluatorError, IncompatibleError
from semcache_core.evaluators._base import BaseEvaluator, described, unit
from semcache_core.models import Candidate, Entry, Query, Score, Vector

Neighbours = Callable[[Entry, int], Sequence[float]]
"""Similarities of the (at most) k stored entries nearest to an entry, itself left out."""


Search = Callable[[str, Vector, int], Sequence[Candidate]]
"""A store's `nearest`: (scope, vector, k) -> candidates."""


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
        self.joined: bool | None = None
        """Whether a cache has it, where one is to tell the neighbours."""

    @classmethod
    def of_cache(cls, k: int = 2) -> KReciprocal:
        """For the cache that it is given to, which tells the neighbours. Raises `ConfigError`."""
        made = cls(_of_no_cache, k)
        made.joined = False
        return made

    def join(self, search: Search) -> None:
        """Look among a cache's entries from now on. Raises `IncompatibleError` in a second one."""
        if self.joined is not False:
            raise IncompatibleError("k_reciprocal: it has its neighbours already; make one a cache")
        self._neighbours, self.joined = _among(search), True

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


def _of_no_cache(entry: Entry, k: int) -> Sequence[float]:
    raise EvaluatorError("k_reciprocal: it is in no cache yet, so there are no entries")


def _among(search: Search) -> Neighbours:
    def neighbours(entry: Entry, k: int) -> Sequence[float]:
        if entry.vector is None:
            raise EvaluatorError("k_reciprocal: the entry has no vector")
        near = search(entry.scope, entry.vector, k + 1)
        return [one.similarity for one in near if one.entry.key != entry.key][:k]

    return neighbours
