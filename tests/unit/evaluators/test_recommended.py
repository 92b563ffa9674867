"""Thresholds that evaluators recommend, since each has a scale of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation import Pair, evaluate
from semcache_core.evaluators import (
    BM25,
    L2,
    RECOMMENDED_THRESHOLD,
    Cosine,
    CrossEncoderEvaluator,
    Exact,
    Guards,
    Stage,
    TimeDecay,
    Verifier,
    all_of,
    any_of,
    cascade,
    conversation_evaluator,
    default_evaluator,
    guarded,
    weighted,
)
from semcache_core.evaluators._base import BaseEvaluator, recommended
from semcache_core.policies import ThresholdPolicy

EMBEDDER = HashEmbedder()


@pytest.mark.parametrize(
    ("make", "threshold"),
    [
        (Cosine, 0.9),
        (L2, 0.776),
        (Exact, 1.0),
        (CrossEncoderEvaluator, 0.9),
        (Verifier, RECOMMENDED_THRESHOLD),
        (lambda: default_evaluator(EMBEDDER), RECOMMENDED_THRESHOLD),
        (lambda: conversation_evaluator(EMBEDDER), RECOMMENDED_THRESHOLD),
        (lambda: guarded(Guards(), Cosine()), 0.9),
        (lambda: all_of(Cosine(), TimeDecay(max_age=60)), 0.9),
        (lambda: any_of(Verifier(), default_evaluator(EMBEDDER)), RECOMMENDED_THRESHOLD),
        (lambda: cascade(Stage(Guards()), Stage(Cosine())), 0.9),
    ],
)
def test_an_evaluator_brings_its_own_threshold(
    make: Callable[[], BaseEvaluator], threshold: float
) -> None:
    """One made of several has it if those that compare agree."""
    assert recommended(make()) == threshold


def test_a_cosine_is_not_held_to_the_verifiers_threshold() -> None:
    """The cache, a configuration's policy and `evaluate` all take the evaluator's."""
    with SemanticCache(embedder=EMBEDDER, evaluator=Cosine()) as cache:
        assert isinstance(cache._parts.policy, ThresholdPolicy)
        assert cache._parts.policy.threshold == 0.9
    settings = {"evaluator": "cosine", "policy": {"kind": "threshold", "floor": 0.7}}
    assert load(settings, {"embedder": EMBEDDER}).arguments()["policy"].threshold == 0.9
    pair = Pair("How do I cancel my gym plan?", "How do I renew my gym plan?", same=False)
    found = evaluate([pair], embedder=EMBEDDER, evaluator=Cosine())
    assert found.hits == evaluate([pair], embedder=EMBEDDER, evaluator=Cosine(), threshold=0.9).hits


NONE: list[Callable[[], BaseEvaluator]] = [
    BM25,
    lambda: weighted([Cosine(), Exact()], [1, 1]),
    lambda: any_of(Cosine(), Exact()),
    lambda: guarded(Guards(), BM25()),
    lambda: cascade(Stage(Cosine(), 0.5, 0.99), Stage(Verifier())),
]


@pytest.mark.parametrize("make", NONE)
def test_without_one_a_threshold_or_a_budget_is_asked_for(
    make: Callable[[], BaseEvaluator],
) -> None:
    """A scale that nothing was measured on gets no number by accident."""
    says = "threshold: none was given.*max_false_hit_rate"
    with pytest.raises(ConfigError, match=says):
        SemanticCache(embedder=EMBEDDER, evaluator=make())
    with pytest.raises(ConfigError, match=says):
        evaluate([Pair("a", "b", same=True)], embedder=EMBEDDER, evaluator=make())
    for enough in ({"threshold": 0.5}, {"max_false_hit_rate": 0.1}):
        SemanticCache(embedder=EMBEDDER, evaluator=make(), **enough).close()  # type: ignore[arg-type]  # either


def test_a_policy_in_a_configuration_asks_too() -> None:
    """`policy: {kind: threshold}` beside an evaluator without a threshold."""
    settings = {"evaluator": "bm25", "policy": {"kind": "threshold"}}
    with pytest.raises(ConfigError, match="threshold: none was given"):
        load(settings, {"embedder": EMBEDDER}).arguments()
