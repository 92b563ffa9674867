"""The threshold, the margin, and the factory."""

from __future__ import annotations

import math

import pytest
from policy_values import QUERY, scored

from semcache_core.errors import ConfigError
from semcache_core.models import Action, Reason
from semcache_core.policies import MarginPolicy, ThresholdPolicy, make_policy
from semcache_core.policies.margin import margin, rival


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "0.9", True, None])
@pytest.mark.parametrize("name", ["threshold", "floor"])
def test_nonsense_is_refused_with_the_argument_named(name, value):
    """Anything but a number in [0, 1] is a ConfigError that names the argument."""
    arguments = {"threshold": 0.9, "floor": 0.5, name: value}
    with pytest.raises(ConfigError, match=name):
        ThresholdPolicy(**arguments)


def test_namespace_threshold_is_checked_too():
    """The error names the namespace whose threshold is wrong."""
    with pytest.raises(ConfigError, match="tenant"):
        ThresholdPolicy(0.9, by_namespace={"tenant": 2})


def test_serves_all_that_reach_the_threshold_best_first():
    """Acceptable candidates are handed over in order of value, the others are not."""
    given = [scored(0.91, key="b"), scored(0.97, key="a"), scored(0.7, key="c")]
    decision = ThresholdPolicy(0.9).decide(QUERY, given)
    assert decision.action is Action.SERVE
    assert [s.candidate.entry.key for s in decision.chosen] == ["a", "b"]
    assert decision.threshold == 0.9
    assert decision.why is Reason.SEMANTIC


def test_the_threshold_itself_is_a_hit():
    """The threshold is inclusive."""
    assert ThresholdPolicy(0.9).decide(QUERY, [scored(0.9)]).action is Action.SERVE


@pytest.mark.parametrize(
    ("given", "why", "text"),
    [
        ([], Reason.EMPTY, "no candidate"),
        ([scored(0.8)], Reason.BELOW, "0.800"),
        ([scored(0.99, similarity=0.3)], Reason.BELOW, "floor"),
        ([scored(0.99, rejected=True)], Reason.REJECTED, "guard: why"),
        ([scored(math.nan)], Reason.BELOW, "below the floor"),
    ],
)
def test_each_refusal_says_why(given, why, text):
    """A refusal carries the code for statistics and the numbers for a person."""
    for policy in (ThresholdPolicy(0.9, floor=0.5), MarginPolicy(0.9, floor=0.5)):
        decision = policy.decide(QUERY, given)
        assert (decision.action, decision.why) == (Action.REFUSE, why)
    assert text in ThresholdPolicy(0.9, floor=0.5).decide(QUERY, given).reason


def test_a_namespace_can_be_stricter_and_looser():
    """Each tenant's candidates are held to the tenant's own threshold."""
    policy = ThresholdPolicy(0.9, by_namespace={"bank": 0.98, "chat": 0.7})
    served = {
        name: policy.decide(QUERY, [scored(0.92, namespace=name)]).action is Action.SERVE
        for name in ("bank", "chat", "other")
    }
    assert served == {"bank": False, "chat": True, "other": True}
    assert policy.decide(QUERY, [scored(0.75, namespace="chat")]).action is Action.SERVE


def test_a_dict_changed_later_does_not_change_the_policy():
    """Thresholds are copied when they are checked."""
    thresholds = {"bank": 0.98}
    policy = ThresholdPolicy(0.9, by_namespace=thresholds)
    thresholds["bank"] = 0.1
    assert policy.by_namespace["bank"] == 0.98


def test_factor_makes_one_call_stricter_or_looser():
    """The call's factor scales the threshold and never lifts it above the top."""
    policy = ThresholdPolicy(0.8)
    assert policy.decide(QUERY, [scored(0.85)], factor=1.1).action is Action.REFUSE
    assert policy.decide(QUERY, [scored(0.75)], factor=0.9).action is Action.SERVE
    assert policy.decide(QUERY, [scored(1.0)], factor=9).action is Action.SERVE
    assert MarginPolicy(1.0).decide(QUERY, [scored(0.95)], factor=0.9).action is Action.SERVE
    with pytest.raises(ConfigError, match="factor"):
        policy.decide(QUERY, [scored(0.9)], factor=-1)


def test_margin_is_to_the_nearest_different_answer():
    """s1 + (s1 - s_diff); candidates with the same answer do not count against it."""
    best, twin = scored(0.9, key="a", answer=b"x"), scored(0.89, key="b", answer=b"x")
    other = scored(0.6, key="c", answer=b"y")
    assert rival([best, twin, other]) is other
    assert margin([best, twin, other]) == pytest.approx(0.9 + 0.3)
    assert margin([best, other]) == pytest.approx(1.2)


def test_margin_without_a_rival_is_cautious():
    """Without a different answer in sight the last candidate bounds it; a lone one has none."""
    best, twin = scored(0.9, key="a"), scored(0.8, key="b")
    assert margin([best, twin]) == pytest.approx(1.0)
    assert margin([best]) == pytest.approx(0.9)


def test_a_judge_decides_what_a_different_answer_is():
    """Answers the judge calls equal are no rivals; those it cannot tell apart are."""
    best, near = scored(0.9, key="a", answer=b"Yes"), scored(0.88, key="b", answer=b"yes")
    assert rival([best, near], lambda a, b: a.payload.lower() == b.payload.lower()) is None
    assert rival([best, near], lambda a, b: None) is near


def test_margin_policy_serves_only_the_best():
    """A near rival turns a hit into a miss although the value is the same."""
    policy = MarginPolicy(1.0)
    far = [scored(0.9, key="a"), scored(0.6, key="b", answer=b"y")]
    near = [scored(0.9, key="a"), scored(0.85, key="b", answer=b"y")]
    assert policy.decide(QUERY, far).chosen == (far[0],)
    assert policy.decide(QUERY, near).action is Action.REFUSE


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.9, 1.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.2])
def test_the_default_margin_is_never_looser_than_the_threshold(threshold, factor):
    """Whatever the static threshold refuses is refused; a lone perfect match is served."""
    strict, static = MarginPolicy.beside(threshold), ThresholdPolicy(threshold)
    values = [n / 20 for n in range(21)]
    for high in values:
        for low in [n for n in values if n <= high]:
            given = [scored(high, key="a"), scored(low, key="b", answer=b"y")]
            if strict.decide(QUERY, given, factor).action is Action.SERVE:
                assert static.decide(QUERY, given, factor).action is Action.SERVE
    assert strict.decide(QUERY, [scored(1.0)]).action is Action.SERVE


def test_the_default_margin_asks_for_a_lead():
    """Above the threshold a near rival still turns a hit into a miss; a far one does not."""
    policy = make_policy("margin", default_threshold=0.65)
    assert isinstance(policy, MarginPolicy)
    near = [scored(0.7, key="a"), scored(0.68, key="b", answer=b"y")]
    far = [scored(0.7, key="a"), scored(0.5, key="b", answer=b"y")]
    low = policy.decide(QUERY, [scored(0.6, key="a"), scored(0.0, key="b", answer=b"y")])
    assert policy.decide(QUERY, near).action is Action.REFUSE
    assert policy.decide(QUERY, far).action is Action.SERVE
    assert (low.action, low.why, low.threshold) == (Action.REFUSE, Reason.BELOW, 0.65)
    with pytest.raises(ConfigError, match="threshold: none was given"):
        make_policy("margin", default_threshold=None)
    with pytest.raises(ConfigError, match="least"):
        MarginPolicy(1.0, least=1.5)


def test_a_rival_below_the_floor_still_counts():
    """The floor keeps it from being served, not from showing how near another answer is."""
    close = [scored(0.9, key="a"), scored(0.85, key="b", answer=b"y", similarity=0.4)]
    assert MarginPolicy(1.0, floor=0.5).decide(QUERY, close).action is Action.REFUSE


def test_factory_takes_the_embedders_threshold_unless_told():
    """Without a threshold the default one of the embedder holds."""
    assert make_policy(default_threshold=0.87) == ThresholdPolicy(0.87)
    assert make_policy(threshold=0.9, default_threshold=0.87) == ThresholdPolicy(0.9)
    assert make_policy("margin", threshold=1.1, default_threshold=0.87) == MarginPolicy(1.1)
    assert make_policy("margin", default_threshold=0.87) == MarginPolicy(0.935, least=0.87)


def test_factory_passes_a_policy_through():
    """A policy object is used as it is."""
    policy = MarginPolicy(1.1)
    assert make_policy(policy, default_threshold=0.8) is policy


def test_factory_names_both_of_two_contradicting_arguments():
    """Whoever gives two things that exclude one another reads both names."""
    with pytest.raises(ConfigError, match=r"policy=.*threshold=0\.9"):
        make_policy(MarginPolicy(1.1), threshold=0.9, default_threshold=0.8)
    with pytest.raises(ConfigError, match=r"policy=.*by_namespace="):
        make_policy("margin", by_namespace={"a": 0.9}, default_threshold=0.8)
    with pytest.raises(ConfigError, match="policy='magic'"):
        make_policy("magic", default_threshold=0.8)
