"""A model that is only asked where the cosine is unsure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.evaluators._base import BaseEvaluator, is_number, unit
from semcache_core.models import Candidate, Query, Score

Zone = tuple[float, float]
"""Similarities (low, high): inside the model decides, outside the cosine."""

EVERYWHERE: Zone = (-1.0, 1.0)


class GreyZoneEvaluator(BaseEvaluator):
    """Scores by `_judge` inside the zone, both ends included, and by the cosine outside of it."""

    def __init__(self, grey_zone: Zone) -> None:
        """Raise `IncompatibleError` for a zone that no similarity lies in."""
        if not isinstance(grey_zone, Sequence) or not [*map(is_number, grey_zone)] == [True, True]:
            raise ConfigError(f"grey_zone={grey_zone!r}: give two similarities, (low, high)")
        low, high = grey_zone
        if not -1.0 <= low < high <= 1.0:
            raise IncompatibleError(
                f"grey_zone={grey_zone!r}: low must be below high, both within [-1, 1], or the"
                " model would never be asked"
            )
        self.grey_zone = (float(low), float(high))

    @abstractmethod
    def _judge(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[float]:
        """One number in [0, 1] for each of at least one candidate."""

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        low, high = self.grey_zone
        grey = [i for i, one in enumerate(candidates) if low <= one.similarity <= high]
        judged = self._judge(query, [candidates[i] for i in grey]) if grey else ()
        values = dict(zip(grey, judged, strict=True))
        return [self._one(one, values.get(i)) for i, one in enumerate(candidates)]

    def _one(self, candidate: Candidate, judged: float | None) -> Score:
        if judged is None:
            return Score(unit(candidate.similarity), self.name, "the cosine decides")
        return Score(unit(judged), self.name)
