"""The guarantees at the very edge, where a bound that is off by a little shows."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from semcache_core.policies import _bounds as bounds
from semcache_core.policies import calibrate
from semcache_core.policies.certificate import ALARM, Certificate

LEVELS = (0.2, 0.1, 0.05, 0.01)


def binomial(n, p):
    """P(X = k) for k = 0..n, by a recursion of its own."""
    row = np.array([1.0])
    for _ in range(n):
        row = np.convolve(row, [1 - p, p])
    return row


def allowed(runs, rate):
    """What a true rate explains in all but one of 740 cases (three standard deviations)."""
    return rate * runs + 3 * math.sqrt(runs * rate * (1 - rate))


@pytest.mark.parametrize("n", [1, 7, 59, 60, 100, 299, 400])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3])
def test_the_p_value_has_its_level_and_wastes_none(n, rate):
    """At exactly the budget it is at most u with probability u at most; one more would be over."""
    weights = binomial(n, rate)
    values = [bounds.in_the_long_run(k, n, rate) for k in range(n + 1)]
    assert all(now < later for now, later in pairwise(values) if later < 1 - 1e-9)
    for level in LEVELS:
        passing = sum(value <= level for value in values)
        assert weights[:passing].sum() <= level + 1e-9
        assert weights[: passing + 1].sum() > level


@pytest.mark.parametrize("n", [95, 120, 200, 400])
@pytest.mark.parametrize("rate", [0.03, 0.05, 0.1])
def test_prediction_has_its_level_whatever_the_true_rate(n, rate):
    """Certified and over the budget in the next n: at most the level, for every true rate."""
    passes = np.array([bounds.in_the_next_hits(k, n, rate) <= 0.05 for k in range(n + 1)])
    over = np.arange(n + 1) > rate * n
    for true in np.linspace(0.2, 3, 29) * rate:
        weights = binomial(n, true)
        assert weights[passes].sum() * weights[over].sum() <= 0.05


@pytest.mark.parametrize(("k", "n", "rate"), [(0, 20, 0.05), (1, 40, 0.1), (2, 60, 0.049)])
def test_prediction_counts_the_draws(k, n, rate):
    """It is the share of draws that put `k` or fewer of the fewest too many into the first half."""
    over = next(count for count in range(n) if count > rate * n)
    marked = k + over
    ways = sum(math.comb(marked, i) * math.comb(2 * n - marked, n - i) for i in range(k + 1))
    expected = ways / math.comb(2 * n, n)
    assert bounds.in_the_next_hits(k, n, rate) == pytest.approx(expected)


@pytest.mark.parametrize("k", [0, 1, 5, 40])
@pytest.mark.parametrize("n", [60, 400])
def test_the_upper_bound_is_the_last_rate_not_refuted(k, n):
    """A hair above it the data are refuted, a hair below they are not."""
    bound = bounds.upper_bound(k, n, 0.95)
    assert binomial(n, bound * 1.001)[: k + 1].sum() < 0.05
    assert binomial(n, bound * 0.999)[: k + 1].sum() > 0.05


def at_the_edge(random, n, rate):
    """Labels of which exactly `rate` are false at every threshold."""
    return random.uniform(size=n), random.uniform(size=n) >= rate


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "n"), [(0.05, 1200), (0.2, 400)])
def test_at_the_budget_hardly_anything_is_certified(rate, n):
    """2,000 data sets whose false-hit rate IS the budget: at most 5% of them pass, and some do."""
    random = np.random.default_rng(11)
    runs = 2000
    passed = sum(
        calibrate(
            *at_the_edge(random, n, rate + 1e-9), rate, fill=1.0, test=bounds.in_the_long_run
        ).certified
        for _ in range(runs)
    )
    assert passed <= allowed(runs, 0.05)
    assert passed >= runs * 0.01  # a bound that never passes would be safe, and of no use


@pytest.mark.slow
def test_looking_again_and_again_certifies_nothing_false():
    """400 streams at the budget, looked at whenever due: at most 5% are ever certified."""
    random = np.random.default_rng(12)
    runs, certified = 400, 0
    for _ in range(runs):
        certificate = Certificate(0.1, fill=1.0)
        for score, right in zip(*at_the_edge(random, 2000, 0.1), strict=True):
            certificate.add(float(score), bool(right))
            if certificate.threshold is not None:
                certified += 1
                break
    assert certified <= allowed(runs, 0.05)


def test_the_fallback_procedure_is_tight_at_one_start():
    """Two true hypotheses, one start: the first alone decides, at the whole of the level."""
    random = np.random.default_rng(13)
    runs = 20_000
    p_values = random.uniform(size=(runs, 2))
    wrong = sum(bool(bounds.fallback(list(row), [1.0, 0.0], 0.05).any()) for row in p_values)
    assert abs(wrong / runs - 0.05) < 3 * math.sqrt(0.05 * 0.95 / runs)


def alarm_after(random, rate, true):
    """How many audits it takes until the alarm."""
    capital, audits = 1.0, 0
    while capital < ALARM:
        capital = bounds.wager(capital, bool(random.uniform() < true), rate)
        audits += 1
    return audits


def test_the_alarm_is_rare_at_the_budget_and_quick_above_it():
    """The mean run to a false alarm is at least ALARM audits; at four times the budget it is short.

    The first is the theorem (Shin, Ramdas, Rinaldo 2024, on e-detectors); the second is why.
    """
    random = np.random.default_rng(14)
    calm = [alarm_after(random, 0.05, 0.05) for _ in range(400)]
    assert np.mean(calm) >= ALARM
    assert np.median([alarm_after(random, 0.05, 0.2) for _ in range(400)]) < 60


def test_the_samples_that_the_theorem_asks_for():
    """Known sizes: 59 clean labels for 5%, 299 for 1%, 93 for 5% with one false (Wald's tables)."""
    assert bounds.clean_hits_needed(0.05, 0.05, bounds.in_the_long_run) == 59
    assert bounds.clean_hits_needed(0.01, 0.05, bounds.in_the_long_run) == 299
    first = next(n for n in range(1, 200) if bounds.in_the_long_run(1, n, 0.05) <= 0.05)
    assert first == 93
