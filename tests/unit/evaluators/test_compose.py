"""Evaluators made of evaluators, and the call that ranks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from evaluator_values import candidate, query

from semcache_core.errors import ConfigError, EvaluatorError, IncompatibleError, StoreError
from semcache_core.evaluators import (
    Cosine,
    Guards,
    Stage,
    aevaluate,
    all_of,
    any_of,
    cascade,
    evaluate,
    guarded,
    weighted,
)
from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.evaluators.testing import TableEvaluator
from semcache_core.models import Candidate, Query, Score

NO = Score(0.4, "guard", "no", rejected=True)


def table(*scores: float | Score, name: str = "table") -> TableEvaluator:
    """Scores of the candidates a, b, c for the query q."""
    pairs = (("q", letter) for letter in "abc")
    return TableEvaluator(dict(zip(pairs, scores, strict=False)), name=name)


NEAR = [candidate("a", 0.9), candidate("b", 0.8), candidate("c", 0.7)]


def values(evaluator: BaseEvaluator) -> list[tuple[float, bool]]:
    """Value and rejection by candidate."""
    return [(score.value, score.rejected) for score in evaluator.score(query("q"), NEAR)]


def test_all_of_takes_the_worst_and_any_rejection() -> None:
    """A rejection wins over any number, with its reason."""
    both = all_of(table(0.9, 0.2, 0.9), table(0.5, 0.6, NO))
    assert values(both) == [(0.5, False), (0.2, False), (0.4, True)]
    assert both.score(query("q"), NEAR)[2].reason == "no"


def test_any_of_takes_the_best_and_rejects_if_all_do() -> None:
    """One is enough."""
    either = any_of(table(0.1, NO, NO), table(0.5, 0.6, NO))
    assert values(either) == [(0.5, False), (0.6, False), (0.4, True)]


def test_weighted_is_the_mean() -> None:
    """Weights of any sum; one rejection rejects."""
    mean = weighted([table(1.0, 0.0, 1.0), table(0.0, 1.0, NO)], [3, 1])
    assert values(mean) == [(0.75, False), (0.25, False), (0.0, True)]


def test_parts_are_kept_down_to_the_leaves() -> None:
    """A composite in a composite shows its own parts."""
    inner = all_of(table(0.9, 0.9, 0.9, name="x"), table(0.5, 0.5, 0.5, name="y"))
    score = any_of(inner, table(0.1, 0.1, 0.1, name="z")).score(query("q"), NEAR)[0]
    assert [(part.by, part.value) for part in score.parts] == [("x", 0.9), ("y", 0.5), ("z", 0.1)]


def test_a_cascade_asks_the_dear_only_where_the_cheap_is_unsure() -> None:
    """Sure ones and rejected ones stop; the last word stands."""
    dear = table(0.1, 0.77, 0.1, name="dear")
    steps = cascade(Stage(table(0.95, 0.5, 0.1), low=0.3, high=0.9), Stage(dear))
    assert values(steps) == [(0.95, False), (0.77, False), (0.1, False)]
    assert dear.calls == [("q", ("b",))]
    assert cascade(Stage(table(NO, NO, NO)), Stage(dear)).score(query("q"), NEAR)[0].rejected
    assert len(dear.calls) == 1


def test_guarded_scores_only_what_passes() -> None:
    """The evaluator behind the guards never hears of the rejected."""
    behind = table(0.7, 0.8, 0.9, name="behind")
    both = guarded(table(NO, 1.0, 1.0, name="guard"), behind)
    assert values(both) == [(0.4, True), (0.8, False), (0.9, False)]
    assert behind.calls == [("q", ("b", "c"))]
    assert both.name == "behind"
    assert guarded(table(NO, NO, NO), behind).score(query("q"), NEAR)[0].rejected


def test_evaluate_ranks_best_first_and_rejected_last() -> None:
    """Equal values are ordered by similarity."""
    ranked = evaluate(table(0.5, NO, 0.5), query("q"), NEAR)
    assert [one.candidate.entry.query for one in ranked] == ["a", "c", "b"]
    assert evaluate(table(), query("q"), []) == []


async def test_aevaluate_is_evaluate() -> None:
    """The asynchronous twin gives the same."""
    evaluator = all_of(table(0.5, NO, 0.6))
    assert await aevaluate(evaluator, query("q"), NEAR) == evaluate(evaluator, query("q"), NEAR)
    assert await aevaluate(evaluator, query("q"), []) == []


class Where(BaseEvaluator):
    """Remembers the thread it ran in; may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.thread: int | None = None
        self.error = error

    @property
    def name(self) -> str:
        return "where"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        self.thread = threading.get_ident()
        if self.error:
            raise self.error
        return [Score(1.0, self.name) for _ in candidates]


async def test_slow_ones_leave_the_loop_and_quick_ones_stay() -> None:
    """A model must not block the event loop; a comparison needs no thread."""
    slow = Where()
    await all_of(slow, Cosine()).ascore(query("q"), NEAR)
    assert slow.thread != threading.get_ident()
    assert (await all_of(Cosine()).ascore(query("q"), NEAR))[0].value == 0.9
    slow.blocking = False
    await asyncio.wait_for(guarded(Guards(), slow).ascore(query("q"), NEAR), 5)
    assert slow.thread == threading.get_ident()


def test_failures_are_never_scores() -> None:
    """Whatever is raised comes out as EvaluatorError, and our own errors as themselves."""
    with pytest.raises(EvaluatorError, match="where: ValueError: bad") as caught:
        all_of(Where(ValueError("bad"))).score(query("q"), NEAR)
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(StoreError):
        any_of(Where(StoreError("gone"))).score(query("q"), NEAR)


@pytest.mark.parametrize("bad", [1.5, -0.1, float("nan")])
def test_scores_outside_of_the_range_are_errors(bad: float) -> None:
    """A score that is none is not compared with anything."""
    with pytest.raises(EvaluatorError, match="scores lie in"):
        evaluate(table(bad, bad, bad), query("q"), NEAR)


def test_a_wrong_number_of_scores_is_an_error() -> None:
    """Scores could go to the wrong candidates."""

    class Short(Where):
        def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
            return []

    with pytest.raises(EvaluatorError, match="0 scores for 3"):
        evaluate(Short(), query("q"), NEAR)


def test_combinations_that_cannot_work_are_refused() -> None:
    """Each says why."""
    good = table(1.0)
    with pytest.raises(ConfigError, match="no evaluators"):
        all_of()
    with pytest.raises(ConfigError, match="not an evaluator"):
        any_of("cosine")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(IncompatibleError, match="more than one set of guards"):
        all_of(Guards("safe"), Guards("strict"))
    with pytest.raises(IncompatibleError, match="1 of them for 2"):
        weighted([good, good], [1.0])
    for weights in ([0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0]):
        with pytest.raises(ConfigError, match="weights"):
            weighted([good, good], weights)
    for low, high in ((0.5, 0.5), (0.9, 0.1), (-0.1, 0.5), (0.5, 1.1)):
        with pytest.raises(IncompatibleError, match="stage 1"):
            cascade(Stage(good, low, high), Stage(good))
