"""A certified threshold on what cosine and score say together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from policy_values import QUERY, scored

from semcache_core.errors import ConfigError
from semcache_core.models import Action, Reason
from semcache_core.policies import WEIGHTS, WeighedPolicy, calibrate_ranked, weights_from
from semcache_core.policies._evidence import evidence
from semcache_core.policies._logistic import probability
from semcache_core.policies.weighed import lessons

PLAIN = (-4.0, 0.0, 0.0, 8.0)
"""Even odds at a score of 0.5, whatever the cosine."""


def traffic(seed, count=4000):
    """Labels that only the cosine explains, and an evaluator's scores that say nothing of them."""
    random = np.random.default_rng(seed)
    cosines = random.uniform(0.65, 0.99, count)
    right = random.uniform(size=count) < 1 / (1 + np.exp(-40 * (cosines - 0.75)))
    return cosines.tolist(), random.uniform(size=count).tolist(), right.tolist()


def test_it_serves_from_the_certified_probability_on():
    """At the threshold it serves, a hair below it does not; both say the number."""
    policy = WeighedPolicy(0.5, PLAIN)
    served = policy.decide(QUERY, [scored(0.5, similarity=0.9)])
    refused = policy.decide(QUERY, [scored(0.499, similarity=0.9)])
    assert (served.action, served.why) == (Action.SERVE, Reason.SEMANTIC)
    assert (refused.action, refused.why) == (Action.REFUSE, Reason.BELOW)
    assert "probability 0.5000, against the certified 0.5000" in served.reason


def test_rejected_and_far_candidates_are_never_served():
    """What a guard rejects no weights make good, nor what lies below the floor."""
    policy = WeighedPolicy(0.0, PLAIN, floor=0.7)
    for near in ([], [scored(0.99, rejected=True)], [scored(0.9, similarity=0.6)]):
        assert policy.decide(QUERY, near).action is Action.REFUSE


def test_a_call_can_be_stricter():
    """The factor scales the threshold."""
    policy = WeighedPolicy(0.5, PLAIN)
    assert policy.decide(QUERY, [scored(0.6)], factor=1.9).action is Action.REFUSE


def test_a_ranking_that_the_score_lacks_is_learnt():
    """Where the score says nothing and the cosine all, weights are certified, and are right."""
    found = calibrate_ranked(*traffic(0), 0.05)
    assert found.weights
    assert found.calibration.certified
    cosines, values, right = map(np.array, traffic(1, 40_000))
    ranked = [
        probability(found.weights, evidence(c, v)) for c, v in zip(cosines, values, strict=True)
    ]
    hit = np.array(ranked) >= found.calibration.threshold
    assert hit.mean() > 0.3
    assert (~right[hit]).mean() <= 0.05


def test_a_score_that_is_good_is_left_as_it_is():
    """The threshold stays one of the score where weights would not serve more."""
    random = np.random.default_rng(2)
    values = random.uniform(size=3000)
    right = (random.uniform(size=3000) < 1 / (1 + np.exp(-30 * (values - 0.4)))).tolist()
    found = calibrate_ranked(
        random.uniform(0.65, 0.99, 3000).tolist(), values.tolist(), right, 0.05
    )
    assert found.calibration.certified
    assert found.weights == ()


def test_the_rankings_share_the_level():
    """With labels that are at the budget whatever the ranking, few of 200 runs certify any."""
    random, certified = np.random.default_rng(3), 0
    for _ in range(200):
        cosines, values = random.uniform(0.65, 0.99, 600), random.uniform(size=600)
        right = random.uniform(size=600) >= 0.1
        found = calibrate_ranked(cosines.tolist(), values.tolist(), right.tolist(), 0.1, fill=1.0)
        certified += found.calibration.certified
    assert certified <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)


def test_what_is_said_to_be_missing_suffices():
    """So many more labelled hits, all right, and it is certified; the lessons are counted in."""
    few = 40
    cosines, values = [0.9 + i % 9 / 100 for i in range(5000)], [i % 7 / 7 for i in range(5000)]
    needed = calibrate_ranked(cosines[:few], values[:few], [True] * few, 0.05).calibration.needed
    assert needed is not None
    count = few + needed
    assert calibrate_ranked(
        cosines[:count], values[:count], [True] * count, 0.05
    ).calibration.certified


def test_lessons_are_drawn_and_few():
    """A quarter of the labels at most, 400 at most, not the first ones, always the same."""
    assert [int(lessons(n).sum()) for n in (3, 100, 1600, 9000)] == [0, 25, 400, 400]
    assert not lessons(100)[:25].all()
    assert (lessons(500) == lessons(500)).all()


def test_nothing_labelled_is_nothing_certified():
    """No labels are no error."""
    assert not calibrate_ranked([], [], [], 0.05).calibration.certified


def test_weights_have_names_in_a_file():
    """And what is not a number for each name is refused."""
    named = dict(zip(WEIGHTS, PLAIN, strict=True))
    assert weights_from(named) == PLAIN
    assert weights_from({}) == ()
    for wrong in ({"cosine": 1.0}, {**named, "gap": "much"}, [1.0, 2.0]):
        with pytest.raises(ConfigError, match="weights"):
            weights_from(wrong)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((2.0, PLAIN), "threshold"),
        ((0.5, PLAIN, -1), "floor"),
        ((0.5, (1.0, 2.0)), "weights"),
        ((0.5, (math.nan,) * 4), "weights"),
    ],
)
def test_nonsense_is_named(arguments, named):
    """Each argument that cannot work is named."""
    with pytest.raises(ConfigError, match=named):
        WeighedPolicy(*arguments)
