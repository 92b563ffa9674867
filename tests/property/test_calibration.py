"""Calibration: what it certifies holds, and it says so when it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.errors import ConfigError
from semcache_core.policies import Calibration, calibrate
from semcache_core.policies._bounds import binomial_cdf, in_the_next_hits

LABELLED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=0, max_size=400)


def traffic(random, n):
    """Scores, and labels that are right with probability 1 - 0.4 (1 - score)^2 * 4."""
    scores = random.beta(4, 2, n)
    wrong = np.minimum(1.0, 1.6 * (1 - scores) ** 2)
    return scores, random.uniform(size=n) >= wrong


def true_rate(threshold):
    """The false-hit rate of `traffic` from this threshold on, by numerical integration."""
    x = np.linspace(threshold, 1, 20_001)
    density = x**3 * (1 - x)
    return float((np.minimum(1, 1.6 * (1 - x) ** 2) * density).sum() / density.sum())


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0.05, 0.1])
def test_the_certificate_holds(budget):
    """In 300 repetitions the true rate exceeds the budget no oftener than 5% allows."""
    random = np.random.default_rng(7)
    found = [calibrate(*traffic(random, 3000), budget, fill=1.0) for _ in range(300)]
    given_ = [c for c in found if c.threshold is not None]
    over = sum(true_rate(c.threshold) > budget for c in given_)
    assert len(given_) > 200
    assert 1 - binomial_cdf(over - 1, 300, 0.05) > 0.05


@pytest.mark.slow
def test_the_next_hits_keep_the_budget():
    """What users count, the false hits among as many again, stays within it in 95% of runs."""
    random = np.random.default_rng(8)
    over, next_hits = 0, in_the_next_hits
    for _ in range(300):
        labelled = traffic(random, 2000)
        threshold = calibrate(*labelled, 0.05, fill=1.0, test=next_hits).threshold
        scores, labels = traffic(random, 2000)
        hit = scores >= (math.inf if threshold is None else threshold)
        over += (~labels[hit]).sum() > 0.05 * hit.sum()
    assert 1 - binomial_cdf(over - 1, 300, 0.05) > 0.05


def test_more_labels_come_near_the_best_threshold():
    """With many labels the certified threshold nearly reaches the one that just keeps 5%."""
    found = calibrate(*traffic(np.random.default_rng(9), 200_000), 0.05, fill=1.0)
    assert found.threshold is not None
    assert 0.042 < true_rate(found.threshold) <= 0.05


@settings(max_examples=60)
@given(LABELLED, st.floats(0.02, 0.5), st.floats(1, 3))
def test_a_larger_budget_is_never_stricter(labelled, budget, times):
    """The threshold falls with the budget."""
    scores, labels = [s for s, _ in labelled], [right or s > 0.2 for s, right in labelled]
    tight = calibrate(scores, labels, budget).threshold
    loose = calibrate(scores, labels, min(0.99, budget * times)).threshold
    assert tight is None or (loose is not None and loose <= tight)


@settings(max_examples=60)
@given(LABELLED, st.floats(0.02, 0.5))
def test_what_is_certified_is_within_the_budget(labelled, budget):
    """The bound keeps the budget, the counts are those of the labels, JSON gives it back."""
    scores, labels = [s for s, _ in labelled], [right or s > 0.3 for s, right in labelled]
    found = calibrate(scores, labels, budget)
    assert Calibration.from_json(found.to_json()) == found
    assert found.labels == len(labelled)
    if found.threshold is None:
        assert found.hits == 0
        return
    hit = [right for s, right in zip(scores, labels, strict=True) if s >= found.threshold]
    assert found.hits == len(hit)
    assert found.false_hits == hit.count(False)
    assert found.bound <= budget
    assert found.hit_rate_low <= found.hit_rate <= found.hit_rate_high
    assert found.potential >= found.hit_rate


def test_equal_scores_are_served_together():
    """A threshold never cuts through a tie: all that reach it were counted."""
    scores, labels = [1.0] * 300 + [0.5] * 300, [True] * 300 + [False] * 300
    found = calibrate(scores, labels, 0.05)
    assert (found.threshold, found.hits, found.false_hits) == (1.0, 300, 0)


def test_nothing_labelled_says_how_many_are_needed():
    """The sentence for people names the labels that are missing."""
    found = calibrate([], [], 0.01)
    assert not found.certified
    assert found.needed is not None
    assert found.needed > 299
    assert f"about {found.needed} more labelled hits needed" in str(found)


def test_that_many_clean_hits_do_certify():
    """The number promised for clean hits is enough."""
    needed = calibrate([], [], 0.05).needed
    assert needed is not None
    assert calibrate([0.9] * needed, [True] * needed, 0.05).certified


def test_hopeless_labels_are_called_hopeless():
    """When every threshold is too bad, more labels are not promised to help."""
    found = calibrate(np.linspace(0, 1, 500), [i % 2 == 0 for i in range(500)], 0.05)
    assert found.needed is None
    assert "use a better evaluator, or a judge" in str(found)


def test_a_certificate_reads_as_a_sentence():
    """Budget, confidence, threshold, counts and the expected hit rate."""
    text = str(calibrate([0.9] * 500 + [0.1] * 500, [True] * 500 + [False] * 500, 0.05))
    assert "certified 5.0% false hits at 95% confidence: threshold 0.9000, 0 of 500" in text
    assert "hit rate 50.0% (46.9% to 53.1%)" in text


def test_one_bad_stretch_does_not_end_the_search():
    """False hits among the very highest scores (label noise) leave the looser thresholds."""
    scores = np.linspace(1, 0.5, 4000)
    labels = np.ones(4000, bool)
    labels[:40:4] = False
    assert calibrate(scores, labels, 0.05).certified


def test_the_allowance_for_a_thinner_cache_is_stricter():
    """A higher `fill` certifies a higher threshold."""
    scores, labels = traffic(np.random.default_rng(3), 5000)
    plain, careful = (calibrate(scores, labels, 0.05, fill=f).threshold for f in (1.0, 1.5))
    assert plain is not None
    assert careful is not None
    assert careful > plain


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([0.5], [True, False], 0.05), "shape"),
        (([[0.5]], [[True]], 0.05), "shape"),
        (([math.nan], [True], 0.05), "scores"),
        (([0.5], [2], 0.05), "labels"),
        (([0.5], [True], 0.0), "max_false_hit_rate"),
        (([0.5], [True], 1.0), "max_false_hit_rate"),
        (([0.5], [True], 0.05, 1.5), "confidence"),
    ],
)
def test_nonsense_is_named(arguments, named):
    """Each argument that cannot work is named in the error."""
    with pytest.raises(ConfigError, match=named):
        calibrate(*arguments)


def test_a_fill_below_one_is_refused():
    """Service is never better than the labels by decree."""
    with pytest.raises(ConfigError, match="fill"):
        calibrate([0.5], [True], 0.05, fill=0.5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"threshold": 1}', "null"])
def test_a_damaged_calibration_is_refused(text):
    """What is not a saved calibration is a ConfigError, never a half-read one."""
    with pytest.raises(ConfigError, match="calibration"):
        Calibration.from_json(text)
