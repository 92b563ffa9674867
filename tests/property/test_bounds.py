"""The statistics of the policies against exact enumeration, and their coverage."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.policies import _bounds as bounds

RATES = st.fractions(min_value=Fraction(1, 200), max_value=Fraction(199, 200))


def exact_binomial(k, n, p):
    """P(X <= k) in rational arithmetic."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(min(k, n) + 1))


@given(n=st.integers(0, 30), k=st.integers(-1, 31), p=RATES)
def test_binomial_tail_is_exact(n, k, p):
    """The sum over logs agrees with rational arithmetic."""
    assert bounds.binomial_cdf(k, n, float(p)) == pytest.approx(float(exact_binomial(k, n, p)))


@given(st.data())
def test_hypergeometric_tail_is_exact(data):
    """The sum over ratios agrees with counting all draws."""
    population = data.draw(st.integers(1, 25))
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(0, population))
    k = data.draw(st.integers(-1, population))
    ways = sum(
        math.comb(marked, i) * math.comb(population - marked, drawn - i)
        for i in range(min(k, drawn) + 1)
    )
    expected = ways / math.comb(population, drawn)
    assert bounds.hypergeometric_cdf(k, population, marked, drawn) == pytest.approx(expected)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_binomial_tail_at_the_ends(p, expected):
    """A rate of 0 or 1 leaves no chance."""
    assert bounds.binomial_cdf(3, 10, p) == expected


def test_tails_survive_large_numbers():
    """Where (1-p)^n underflows the tail is still right (normal value: about 0.5)."""
    assert bounds.binomial_cdf(50_000, 1_000_000, 0.05) == pytest.approx(0.5, abs=0.01)
    assert bounds.hypergeometric_cdf(500, 20_000, 1000, 10_000) == pytest.approx(0.5, abs=0.02)


@given(n=st.integers(1, 200), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_clopper_pearson_is_where_the_tails_are(n, share, confidence):
    """Each end of the interval leaves exactly half of the error in its tail."""
    k = round(share * n)
    low, high = bounds.clopper_pearson(k, n, confidence)
    tail = (1 - confidence) / 2
    assert 0 <= low <= k / n <= high <= 1
    if k < n:
        assert bounds.binomial_cdf(k, n, high) == pytest.approx(tail, rel=1e-6)
    if k:
        assert 1 - bounds.binomial_cdf(k - 1, n, low) == pytest.approx(tail, rel=1e-6)


def test_intervals_of_nothing_say_nothing():
    """Without observations every rate is possible."""
    assert bounds.clopper_pearson(0, 0) == bounds.wilson(0, 0) == (0.0, 1.0)
    assert bounds.upper_bound(0, 0, 0.95) == 1.0


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_holds_the_rate_within_the_exact_interval(n, share):
    """It contains k/n, stays in [0, 1], and touches the ends only where k does."""
    k = round(share * n)
    low, high = bounds.wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert (low == 0) == (k == 0)
    assert (high == 1) == (k == n)


def test_wilson_agrees_with_the_textbook():
    """81 of 263 at 95% (Newcombe 1998, table I): 0.2553 to 0.3662."""
    assert bounds.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@given(n=st.integers(1, 60), k=st.integers(0, 60), rate=st.floats(0.01, 0.5))
def test_prediction_is_stricter_than_the_long_run(n, k, rate):
    """Bounding the false hits to come needs more than bounding their expected rate."""
    if k <= rate * n:
        now, ever = bounds.in_the_next_hits(k, n, rate), bounds.in_the_long_run(k, n, rate)
        assert 0 <= ever <= 1
        assert now >= ever * 0.5


@pytest.mark.parametrize("test", [bounds.in_the_next_hits, bounds.in_the_long_run])
@given(
    n=st.integers(0, 200), k=st.integers(0, 20), low=st.floats(0.01, 0.4), more=st.floats(0, 0.4)
)
def test_p_values_fall_with_the_budget_and_rise_with_errors(test, n, k, low, more):
    """A larger budget is never harder to certify, nor another false hit a help."""
    k = min(k, n)
    assert test(k, n, low + more) <= test(k, n, low) + 1e-12
    if k < n:
        assert test(k, n, low) <= test(k + 1, n, low) + 1e-12


def test_clean_hits_are_the_known_numbers():
    """ln(0.05) / ln(1 - rate): 59 hits for 5%, 299 for 1%; prediction asks for more."""
    assert bounds.clean_hits_needed(0.05, 0.05, bounds.in_the_long_run) == 59
    assert bounds.clean_hits_needed(0.01, 0.05, bounds.in_the_long_run) == 299
    n = bounds.clean_hits_needed(0.05, 0.05, bounds.in_the_next_hits)
    assert bounds.in_the_next_hits(0, n, 0.05) <= 0.05
    assert 59 < n < 120


@given(rate=st.floats(0.005, 0.3), part=st.floats(0, 0.9))
def test_hits_needed_do_certify(rate, part):
    """With that many hits and that share of errors the test passes, give or take the rounding."""
    normal = bounds.hits_needed(rate, 0.05, part * rate)
    assert normal is not None
    n = max(normal, bounds.clean_hits_needed(rate, 0.05, bounds.in_the_next_hits))
    false = math.floor(part * rate * n)
    assert bounds.in_the_next_hits(false, n, rate) <= 0.1


def test_hopeless_is_said():
    """As many errors as the budget or more cannot be certified away."""
    assert bounds.hits_needed(0.05, 0.05, 0.05) is None


def test_prediction_covers():
    """Of runs certified at 5%, no more than 5% go over the budget in the next hits."""
    random = np.random.default_rng(1)
    n, rate, went_over, certified = 400, 0.05, 0, 0
    for true in np.repeat([0.03, 0.04, 0.05, 0.06], 2000):
        now, later = random.binomial(n, true, 2)
        if bounds.in_the_next_hits(int(now), n, rate) <= 0.05:
            certified += 1
            went_over += later > rate * n
    assert certified > 500
    assert went_over / 8000 <= 0.05


def fixed_sequence(p_values, level):
    """How many of an order are rejected before the first that is not."""
    return next((i for i, p in enumerate(p_values) if p > level), len(p_values))


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0.01, 0.2))
def test_one_start_is_fixed_sequence_testing(p_values, level):
    """With a single start the fallback procedure stops at the first test that fails."""
    shares = [float(i == 0) for i in range(len(p_values))]
    rejected = bounds.fallback(p_values, shares, level)
    stop = fixed_sequence(p_values, level)
    assert rejected.tolist() == [i < stop for i in range(len(p_values))]


def test_fallback_goes_on_after_a_failure():
    """A failed test costs the shares so far; the next start brings its own."""
    p_values, shares = [0.01, 0.5, 0.02, 0.02, 0.04], [0.25, 0.0, 0.0, 0.75, 0.0]
    assert bounds.fallback(p_values, shares, 0.05).tolist() == [True, False, False, True, False]
    p_values[1] = 0.01
    assert bounds.fallback(p_values, shares, 0.05).tolist() == [True, True, False, True, False]
    p_values[2] = 0.01
    assert bounds.fallback(p_values, shares, 0.05).all()


def test_fallback_keeps_the_family_level():
    """Among true hypotheses a rejection happens in at most `level` of the runs."""
    random = np.random.default_rng(2)
    shares = [0.25 if i % 3 == 0 else 0.0 for i in range(12)]
    wrong = sum(
        bool(bounds.fallback(random.uniform(size=12).tolist(), shares, 0.1).any())
        for _ in range(4000)
    )
    assert wrong / 4000 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 4000)


@given(st.floats(0.001, 0.5), st.integers(1, 200))
def test_spending_never_spends_more_than_there_is(level, looks):
    """Any number of looks together cost less than the level."""
    assert sum(bounds.spending(level, i) for i in range(1, looks + 1)) < level


@given(st.floats(0.005, 0.5))
def test_the_bet_is_fair_at_the_rate(rate):
    """At exactly the rate a bet gains nothing on average; a false hit doubles the capital."""
    up, down = bounds.wager(1.0, True, rate), bounds.wager(1.0, False, rate)
    assert rate * up + (1 - rate) * down == pytest.approx(1.0)
    assert up == pytest.approx(2.0)
    assert bounds.wager(0.1, True, rate) == pytest.approx(2.0)
