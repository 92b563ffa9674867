"""Evaluators made of evaluators: minimum, maximum, weighted mean, guards first, cheap to dear.

All of them keep what their parts said. `evaluate` is what the cache calls.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from semcache_core.errors import ConfigError, EvaluatorError, IncompatibleError
from semcache_core.evaluators import _combinations as may
from semcache_core.evaluators._base import (
    BaseEvaluator,
    described,
    identity,
    is_number,
    recommended,
    unit,
)
from semcache_core.models import Candidate, Query, Score, Scored
from semcache_core.protocols import Evaluator


def evaluate(evaluator: Evaluator, query: Query, candidates: Sequence[Candidate]) -> list[Scored]:
    """Score the candidates: best first, rejected ones flagged and last. Raises `EvaluatorError`."""
    return _ranked(candidates, _scores(evaluator, query, candidates)) if candidates else []


async def aevaluate(
    evaluator: Evaluator, query: Query, candidates: Sequence[Candidate]
) -> list[Scored]:
    """`evaluate` without blocking the event loop."""
    if not candidates:
        return []
    scores = await evaluator.ascore(query, candidates)
    return _ranked(candidates, _checked(evaluator, candidates, scores))


def _ranked(candidates: Sequence[Candidate], scores: Sequence[Score]) -> list[Scored]:
    scored = [Scored(one, score) for one, score in zip(candidates, scores, strict=True)]
    return sorted(scored, key=lambda s: (s.score.rejected, -s.value, -s.candidate.similarity))


def _scores(evaluator: Evaluator, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]:
    return _checked(evaluator, candidates, evaluator.score(query, candidates))


def _checked(
    evaluator: Evaluator, candidates: Sequence[Candidate], scores: Sequence[Score]
) -> Sequence[Score]:
    if len(scores) != len(candidates):
        raise EvaluatorError(
            f"{evaluator.name} gave {len(scores)} scores for {len(candidates)} candidates"
        )
    for score in scores:
        if not 0.0 <= score.value <= 1.0:
            raise EvaluatorError(f"{evaluator.name} gave {score.value!r}; scores lie in [0, 1]")
    return scores


def _leaves(scores: Sequence[Score]) -> tuple[Score, ...]:
    """What was said at the bottom: the parts of a combined score instead of the score."""
    return tuple(leaf for score in scores for leaf in (score.parts or (score,)))


def _agreed(evaluators: Sequence[Evaluator]) -> float | None:
    """What all that compare recommend, if it is one threshold: on one scale they may meet it."""
    found = {recommended(one) for one in evaluators if not may.rejects_only(one)}
    return found.pop() if len(found) == 1 else None


class _Combined(BaseEvaluator):
    """All parts score all candidates; `_combine` makes one score of theirs."""

    def __init__(self, name: str, evaluators: Sequence[Evaluator]) -> None:
        may.require_parts(name, evaluators)
        if name != "any_of":
            may.require_one_set_of_guards(name, evaluators)
        self._name = name
        self.evaluators = tuple(evaluators)
        self.blocking = any(getattr(part, "blocking", True) for part in evaluators)

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> str:
        return described(self._name, *map(identity, self.evaluators), *self._settings())

    def _settings(self) -> tuple[object, ...]:
        """What its scores depend on beside its parts."""
        return ()

    @property
    def recommended_threshold(self) -> float | None:
        return _agreed(self.evaluators)

    @property
    def parts(self) -> tuple[Evaluator, ...]:
        return self.evaluators

    @property
    def rejects_only(self) -> bool:
        return all(map(may.rejects_only, self.evaluators))

    @abstractmethod
    def _combine(self, scores: tuple[Score, ...]) -> Score: ...

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        columns = [_scores(part, query, candidates) for part in self.evaluators]
        rows = zip(*columns, strict=True)
        return [replace(self._combine(row), parts=_leaves(row)) for row in rows]


class _AllOf(_Combined):
    def _combine(self, scores: tuple[Score, ...]) -> Score:
        worst = min(scores, key=lambda score: (not score.rejected, score.value))
        return Score(worst.value, self.name, worst.reason, worst.rejected)


class _AnyOf(_Combined):
    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        super().__init__("any_of", evaluators)
        may.require_alternatives(evaluators)

    def _combine(self, scores: tuple[Score, ...]) -> Score:
        best = max(scores, key=lambda score: (not score.rejected, score.value))
        return Score(best.value, self.name, best.reason, best.rejected)


class _Weighted(_Combined):
    def __init__(self, evaluators: Sequence[Evaluator], weights: Sequence[float]) -> None:
        super().__init__("weighted", evaluators)
        _require_weights(evaluators, weights)
        may.require_say(evaluators, weights)
        self.weights = tuple(float(weight) / math.fsum(weights) for weight in weights)

    @property
    def recommended_threshold(self) -> float | None:
        return None

    def _settings(self) -> tuple[object, ...]:
        return self.weights

    def _combine(self, scores: tuple[Score, ...]) -> Score:
        rejected = next((score for score in scores if score.rejected), None)
        if rejected is not None:
            return Score(0.0, self.name, rejected.reason, rejected=True)
        pairs = zip(self.weights, scores, strict=True)
        return Score(unit(math.fsum(weight * score.value for weight, score in pairs)), self.name)


def _require_weights(evaluators: Sequence[Evaluator], weights: Sequence[float]) -> None:
    usable = isinstance(weights, Sequence) and all(is_number(one) and one >= 0 for one in weights)
    if not usable or not any(weights):
        raise ConfigError(f"weights={weights!r}: give positive numbers, or 0, one each")
    if len(weights) != len(evaluators):
        raise IncompatibleError(
            f"weights: {len(weights)} of them for {len(evaluators)} evaluators; give one each"
        )


class _Required(_Combined):
    def __init__(self, evaluator: Evaluator, minimum: float) -> None:
        super().__init__("required", [evaluator])
        if not is_number(minimum) or not 0.0 <= minimum <= 1.0:
            raise ConfigError(f"minimum={minimum!r}: give a score in [0, 1]")
        self.minimum = minimum

    def _settings(self) -> tuple[object, ...]:
        return (self.minimum,)

    @property
    def rejects_only(self) -> bool:
        return True

    def _combine(self, scores: tuple[Score, ...]) -> Score:
        [score] = scores
        if score.rejected or score.value >= self.minimum:
            return replace(score, value=1.0 if not score.rejected else 0.0)
        reason = f"{score.by} {score.value:.3f} is below {self.minimum:g}"
        return Score(0.0, self.name, reason, rejected=True)


def required(evaluator: Evaluator, minimum: float) -> BaseEvaluator:
    """A guard made of an evaluator: rejects below `minimum`, and has no say above it.

    For `all_of`, where scores on different scales would otherwise meet one threshold.
    """
    return _Required(evaluator, minimum)


def all_of(*evaluators: Evaluator) -> BaseEvaluator:
    """The minimum: all must agree. One rejection rejects."""
    return _AllOf("all_of", evaluators)


def any_of(*evaluators: Evaluator) -> BaseEvaluator:
    """The maximum: one is enough. Rejected only if all reject."""
    return _AnyOf(evaluators)


def weighted(evaluators: Sequence[Evaluator], weights: Sequence[float]) -> BaseEvaluator:
    """The mean with weights of any sum. One rejection rejects."""
    return _Weighted(evaluators, weights)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a cascade, and when its word is final."""

    evaluator: Evaluator
    low: float = 0.0
    """At or below it the candidate does not go on: the stage's score stands."""
    high: float = 1.0
    """At or above it the same; the last stage's score always stands.

    What can only reject (guards, ages, minimums) hands on all that it lets pass, whatever this is.
    """


class _Cascade(BaseEvaluator):
    def __init__(self, stages: Sequence[Stage]) -> None:
        _require_stages(stages)
        evaluators = [stage.evaluator for stage in stages]
        may.require_parts("cascade", evaluators)
        may.require_one_set_of_guards("cascade", evaluators)
        may.require_stages(evaluators)
        for at, stage in enumerate(stages, 1):
            _require_zone(at, stage, last=at == len(stages))
        self.stages = tuple(stages)

    @property
    def name(self) -> str:
        return "cascade"

    @property
    def identity(self) -> str:
        stages = ((identity(one.evaluator), one.low, one.high) for one in self.stages)
        return described(self.name, *(part for stage in stages for part in stage))

    @property
    def recommended_threshold(self) -> float | None:
        return _agreed(self.parts)

    @property
    def parts(self) -> tuple[Evaluator, ...]:
        return tuple(stage.evaluator for stage in self.stages)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        said: list[list[Score]] = [[] for _ in candidates]
        unsure = list(range(len(candidates)))
        for stage in self.stages:
            if not unsure:
                break
            scores = _scores(stage.evaluator, query, [candidates[i] for i in unsure])
            for i, score in zip(unsure, scores, strict=True):
                said[i].append(score)
            unsure = [i for i in unsure if _unsure(said[i][-1], stage)]
        return [replace(row[-1], by=self.name, parts=_leaves(row)) for row in said]


def _unsure(score: Score, stage: Stage) -> bool:
    if score.rejected or score.value <= stage.low:
        return False
    return score.value < stage.high or may.rejects_only(stage.evaluator)


def _require_stages(stages: Sequence[Stage]) -> None:
    for stage in stages:
        if not isinstance(stage, Stage):
            raise ConfigError(f"cascade: {stage!r} was given; give Stage(evaluator, low, high)")
        if not (is_number(stage.low) and is_number(stage.high)):
            raise ConfigError(f"cascade: low={stage.low!r}, high={stage.high!r}: give two numbers")


def _require_zone(at: int, stage: Stage, *, last: bool) -> None:
    if not (last or 0.0 <= stage.low < stage.high <= 1.0):
        raise IncompatibleError(
            f"cascade: stage {at} ({stage.evaluator.name}) has the grey zone ({stage.low},"
            f" {stage.high}), which holds no score in [0, 1]: the later stages would never run"
        )


def cascade(*stages: Stage) -> BaseEvaluator:
    """Cheap to dear: a candidate goes on while its score lies between the stage's low and high."""
    return _Cascade(stages)


class _Guarded(BaseEvaluator):
    def __init__(self, guards: Evaluator, evaluator: Evaluator) -> None:
        may.require_parts("guarded", (guards, evaluator))
        may.require_one_set_of_guards("guarded", (guards, evaluator))
        may.require_guards_first(guards, evaluator)
        self.guards = guards
        self.evaluator = evaluator
        self.blocking = getattr(evaluator, "blocking", True)

    @property
    def name(self) -> str:
        return self.evaluator.name

    @property
    def identity(self) -> str:
        return described("guarded", identity(self.guards), identity(self.evaluator))

    @property
    def recommended_threshold(self) -> float | None:
        return recommended(self.evaluator)

    @property
    def parts(self) -> tuple[Evaluator, ...]:
        return (self.guards, self.evaluator)

    @property
    def rejects_only(self) -> bool:
        return may.rejects_only(self.evaluator)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        rows = [[one] for one in _scores(self.guards, query, candidates)]
        passed = [i for i, row in enumerate(rows) if not row[0].rejected]
        scores = _scores(self.evaluator, query, [candidates[i] for i in passed]) if passed else ()
        for i, score in zip(passed, scores, strict=True):
            rows[i].append(score)
        return [replace(row[-1], parts=_leaves(row)) for row in rows]


def guarded(guards: Evaluator, evaluator: Evaluator) -> BaseEvaluator:
    """Guards first; only the candidates they let pass are scored, by the evaluator."""
    return _Guarded(guards, evaluator)
