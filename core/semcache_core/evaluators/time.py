"""Age: answers fade, or end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from semcache_core.errors import ConfigError
from semcache_core.evaluators._base import BaseEvaluator, described, is_number, unit
from semcache_core.models import Candidate, Query, Score
from semcache_core.protocols import Clock


class TimeDecay(BaseEvaluator):
    """0.5 ** (age / half_life), and a rejection beyond `max_age`; both in seconds.

    Combine it: `weighted` to prefer fresh answers, `all_of` to insist on them. Ages below 0 (clocks
    of two machines) are 0.
    """

    blocking = False
    rejects_only = True  # age says nothing of the question: a fresh answer is not a fitting one

    def __init__(
        self,
        *,
        half_life: float | None = None,
        max_age: float | None = None,
        clock: Clock = time.time,
    ) -> None:
        """Raise `ConfigError` unless at least one is given and both are positive."""
        given = [seconds for seconds in (half_life, max_age) if seconds is not None]
        if not given or not all(is_number(seconds) and seconds > 0 for seconds in given):
            raise ConfigError(
                f"half_life={half_life!r}, max_age={max_age!r}: give one or both,"
                " as numbers of seconds above 0"
            )
        self._half_life, self._max_age, self._clock = half_life, max_age, clock

    @property
    def name(self) -> str:
        return "time"

    @property
    def identity(self) -> str:
        return described(self.name, self._half_life, self._max_age)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        now = self._clock()
        return [self._one(max(0.0, now - one.entry.created)) for one in candidates]

    def _one(self, age: float) -> Score:
        if self._max_age is not None and age > self._max_age:
            reason = f"{age:.0f} s old; at most {self._max_age:.0f} s are allowed"
            return Score(0.0, self.name, reason, rejected=True)
        value = 1.0 if self._half_life is None else 0.5 ** (age / self._half_life)
        return Score(unit(value), self.name)
