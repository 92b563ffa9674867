"""What all evaluators share: the asynchronous twin, and errors that are never swallowed."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeGuard, TypeVar

from semcache_core.errors import EvaluatorError, SemcacheError
from semcache_core.models import Candidate, Query, Score
from semcache_core.protocols import Evaluator

R = TypeVar("R")


class BaseEvaluator(ABC):
    """Scores candidates; `_score` is all that a subclass has to write.

    Whatever `_score` raises comes out as `EvaluatorError`: a failure must never look like a bad
    score, since a cache would then miss for ever without anybody noticing.
    """

    blocking = True
    """Whether `_score` is too slow for the event loop; those that only compare numbers are not."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Appears in `Score.by` and in explanations."""

    @property
    def identity(self) -> str:
        """The name with settings and parts: what was learnt of its scores holds for no other's.

        Override it where the scores depend on more than the class.
        """
        return self.name

    @property
    def recommended_threshold(self) -> float | None:
        """For a cache that names none. None: the scale says nothing, and one has to be given."""
        return None

    @property
    def rejects_only(self) -> bool:
        """Whether it can only say no: guards, ages, minimums. Its 1 makes no stored answer right.

        Such an evaluator goes before, or beside, one that compares the questions.
        """
        return False

    @property
    def parts(self) -> tuple[Evaluator, ...]:
        """The evaluators it is made of."""
        return ()

    @abstractmethod
    def _score(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]: ...

    def score(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]:
        """One score a candidate, in order. Raises `EvaluatorError`."""
        try:
            return self._score(query, candidates)
        except SemcacheError:
            raise
        except Exception as error:
            raise EvaluatorError(f"{self.name}: {type(error).__name__}: {error}") from error

    async def ascore(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]:
        """`score` in a worker thread, so that the event loop never waits for a model."""
        return await self._off_loop(self.score, query, candidates)

    async def _off_loop(
        self,
        call: Callable[[Query, Sequence[Candidate]], R],
        query: Query,
        candidates: Sequence[Candidate],
    ) -> R:
        if not self.blocking:
            return call(query, candidates)
        return await asyncio.to_thread(call, query, candidates)


def identity(evaluator: Evaluator) -> str:
    """What an evaluator's scores depend on, as a text; of a foreign one its name."""
    found: str = getattr(evaluator, "identity", evaluator.name)
    return found


def recommended(evaluator: Evaluator) -> float | None:
    """The evaluator's own threshold; a foreign one may say it as ours do."""
    found: float | None = getattr(evaluator, "recommended_threshold", None)
    return found


def described(kind: str, *what: object) -> str:
    """An identity: a kind, and the settings or parts that make its scores."""
    return f"{kind}({', '.join(map(str, what))})"


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def unit(value: float) -> float:
    """The value brought into [0, 1]; rounding may have left it just outside."""
    return min(1.0, max(0.0, float(value)))
