"""Combinations of evaluators that could only serve too much are refused, or made to work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from evaluator_values import candidate, query

from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.evaluation import Pair, calibrate
from semcache_core.evaluators import (
    Cosine,
    Guards,
    Stage,
    TimeDecay,
    Verifier,
    all_of,
    any_of,
    cascade,
    default_evaluator,
    guarded,
    required,
    weighted,
)
from semcache_core.evaluators._base import BaseEvaluator

NEAR = [candidate("the 10 best", 0.7), candidate("the 12 best", 0.99)]

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a guard's pass is a maximum": (lambda: any_of(Guards(), Cosine()), "all_of"),
    "so is an age": (lambda: any_of(TimeDecay(max_age=60), Cosine()), "all_of"),
    "so is a minimum": (lambda: any_of(required(Cosine(), 0.5), Verifier()), "all_of"),
    "guards behind": (lambda: guarded(Cosine(), Guards()), "guards come first"),
    "guards twice": (
        lambda: all_of(Guards(), guarded(Guards("strict"), Cosine())),
        "more than one set",
    ),
    "guards around guards": (
        lambda: guarded(Guards(), default_evaluator(HashEmbedder())),
        "more than one set",
    ),
    "guards that a sure stage skips": (
        lambda: cascade(Stage(Cosine(), 0.5, 0.99), Stage(guarded(Guards(), Verifier()))),
        "stage 2 holds guards.*in front",
    ),
    "the default's guards too": (
        lambda: cascade(Stage(Cosine(), 0.5, 0.99), Stage(default_evaluator(HashEmbedder()))),
        "stage 2 holds guards",
    ),
    "an age that a sure stage skips": (
        lambda: cascade(
            Stage(TimeDecay(max_age=9)),
            Stage(Cosine(), 0.5, 0.99),
            Stage(all_of(Verifier(), TimeDecay(max_age=60))),
        ),
        r"stage 3 holds time.*stage 2 \(cosine\)",
    ),
    "guards at the end": (lambda: cascade(Stage(Cosine(), 0.5, 0.9), Stage(Guards())), "last"),
    "weights of what cannot compare": (lambda: weighted([Guards(), Cosine()], [9, 1]), "half"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_serve_too_much_is_refused(name: str) -> None:
    """Each is refused at construction, and says what to do."""
    make, says = WRONG[name]
    with pytest.raises(IncompatibleError, match=says):
        make()


@pytest.mark.parametrize(
    "alone",
    [
        Guards("core"),
        TimeDecay(max_age=60),
        TimeDecay(half_life=60),
        required(Cosine(), 0.5),
        all_of(Guards(), TimeDecay(max_age=60)),
        any_of(TimeDecay(max_age=60), TimeDecay(max_age=90)),
        guarded(Guards(), TimeDecay(max_age=60)),
        weighted([Guards(), TimeDecay(half_life=60)], [1, 1]),
    ],
    ids=lambda one: one.name,
)
def test_a_cache_needs_an_evaluator_that_compares(alone: BaseEvaluator) -> None:
    """What can only reject would serve all the rest; neither a cache nor a calibration takes it."""
    with pytest.raises(ConfigError, match=r"guarded\(Guards\(\), Cosine\(\)\)"):
        SemanticCache(embedder=HashEmbedder(), evaluator=alone, threshold=0.9)
    with pytest.raises(ConfigError, match=r"guarded\(Guards\(\), Cosine\(\)\)"):
        calibrate([Pair("a", "b", same=True)], embedder=HashEmbedder(), evaluator=alone)


def test_a_guard_in_a_cascade_hands_on_what_it_lets_pass() -> None:
    """Its 1 is no last word; the next stage scores, and a rejection stands."""
    steps = cascade(Stage(Guards()), Stage(required(Cosine(), 0.5)), Stage(Cosine()))
    passed, stopped = steps.score(query("the 10 best"), NEAR)
    assert (passed.value, passed.rejected) == (0.7, False)
    assert [part.by for part in passed.parts] == ["guards", "cosine", "cosine"]
    assert stopped.rejected


@pytest.mark.parametrize(
    "fine",
    [
        lambda: guarded(Guards(), cascade(Stage(Cosine(), 0.5, 0.99), Stage(Verifier()))),
        lambda: any_of(guarded(Guards(), Cosine()), guarded(Guards("strict"), Verifier())),
        lambda: all_of(Guards(), Cosine(), TimeDecay(max_age=60)),
        lambda: weighted([Guards(), Cosine(), TimeDecay(half_life=60)], [0, 3, 1]),
        lambda: guarded(all_of(Guards(), TimeDecay(max_age=60)), Cosine()),
        lambda: cascade(Stage(guarded(Guards(), Cosine()), 0.5, 0.99), Stage(Verifier())),
    ],
)
def test_what_works_is_not_refused(fine: Callable[[], BaseEvaluator]) -> None:
    """Guards in front, in each alternative, or beside others; a cache takes them all."""
    with SemanticCache(embedder=HashEmbedder(), evaluator=fine(), threshold=0.9) as cache:
        cache.put("What is it?", "It.")
        assert cache.get("What is it?") == "It."
