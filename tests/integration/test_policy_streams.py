"""Whole streams through the learning policies: the budget holds, and hits are found."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.policy_scores import Scores
from benchmarks.policy_streams import Outcome, Traffic, policy_run
from semcache_core.evaluators import Cosine
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


def run(policy, stream: Traffic, **how) -> Outcome:
    """A policy on a stream, on cosines alone."""
    return policy_run(policy, stream, Scores(Cosine()), **how)


def runs(policy, size: int, spread: float, **how) -> list[Outcome]:
    """One stream for each seed."""
    return [run(policy(seed), traffic(seed, size, spread), **how) for seed in SEEDS]


def switched(seed: int, size: int) -> Traffic:
    """Traffic that is fine until its middle, where near questions come to want other answers."""
    calm, rough = traffic(seed, size, 0.6), traffic(seed, size, 0.6)
    answers = calm.answers.copy()
    answers[size // 2 :] = 1000 + np.arange(size - size // 2)
    texts = [*calm.texts[: size // 2], *(f"later {text}" for text in rough.texts[size // 2 :])]
    return Traffic("switched", texts, answers, calm.vectors)


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


@pytest.mark.parametrize("kind", [CalibratedPolicy, VerifiedPolicy])
def test_the_alarm_ends_a_drift(kind):
    """When traffic turns bad in the middle, audits notice, and serving stops for good."""
    # In two of six orders the verified policy learns to hit nothing before the alarm goes off.
    policy = kind(0.1, seed=4)
    outcome = run(policy, switched(4, 4000))
    assert outcome.hit[1000:2000].mean() > 0.3
    assert policy.alarms >= 1
    assert not policy.calibration.certified
    assert outcome.hit[3500:].sum() == 0
    # About 10 false audits are needed, one in 20 hits is audited: some hundreds slip through.
    assert 0 < outcome.wrong[2000:].sum() < 600


def test_wrong_labels_make_it_serve_less_and_not_worse():
    """With one label in ten turned round, what is certified keeps the budget all the same."""
    plain = runs(lambda seed: VerifiedPolicy(0.2, seed=seed), 2000, 0.9)
    noisy = runs(lambda seed: VerifiedPolicy(0.2, seed=seed), 2000, 0.9, noise=0.1)
    assert all(outcome.false_hit_rate <= 0.2 for outcome in noisy)
    hits = [np.mean([outcome.hit_rate for outcome in of]) for of in (noisy, plain)]
    assert hits[0] < hits[1]


def test_noise_above_the_budget_certifies_nothing():
    """Where a tenth of the labels is wrong no budget of 5% can be shown to be kept."""
    outcomes = runs(lambda seed: VerifiedPolicy(0.05, seed=seed), 2000, 0.5, noise=0.1)
    assert all(outcome.hit_rate == 0.0 for outcome in outcomes)
