"""Whole streams through the learning policies: the budget holds, and hits are found."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.policy_streams import Outcome, Traffic, policy_run
from semcache_core.policies import CalibratedPolicy, ThresholdPolicy, VerifiedPolicy

pytestmark = pytest.mark.slow
SEEDS = range(6)


def traffic(seed: int, size: int, noise: float, answers: int = 40) -> Traffic:
    """Questions scattered around the points of `answers`; more noise, more confusion."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(answers, 24))
    wanted = random.integers(answers, size=size)
    vectors = centres[wanted] + noise * random.normal(size=(size, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [f"question {i}" for i in range(size)]
    return Traffic("made", texts, wanted, vectors.astype(np.float32))


def runs(policy, size: int, noise: float) -> list[Outcome]:
    """One stream for each seed."""
    streams = [traffic(seed, size, noise) for seed in SEEDS]
    return [policy_run(policy(i), s, s.similarities()) for i, s in zip(SEEDS, streams, strict=True)]


@pytest.mark.parametrize("kind", [CalibratedPolicy, VerifiedPolicy])
def test_the_budget_holds_on_streams(kind):
    """From an empty cache, in every order of arrival, no more hits are false than allowed."""
    outcomes = runs(lambda seed: kind(0.1, seed=seed), 2500, 0.9)
    assert all(outcome.false_hit_rate <= 0.1 for outcome in outcomes)
    assert np.mean([outcome.hit_rate for outcome in outcomes]) > 0.1


def test_a_loose_threshold_goes_over_it_there():
    """The streams are hard enough to matter: serving at any similarity breaks the budget."""
    outcomes = runs(lambda seed: ThresholdPolicy(0.5), 2500, 0.9)
    assert all(outcome.false_hit_rate > 0.1 for outcome in outcomes)


def test_hopeless_traffic_is_not_served():
    """Where neighbours are wrong at every similarity there is no certificate, and no hit."""
    outcomes = runs(lambda seed: VerifiedPolicy(0.05, seed=seed), 1500, 3.0)
    assert all(outcome.hit_rate == 0.0 for outcome in outcomes)
