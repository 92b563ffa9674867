"""Certificates and the policies that rest on them: labels, audits, alarms, state."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from policy_values import QUERY, entry, scored

from semcache_core.errors import ConfigError
from semcache_core.models import Action, Query, Reason
from semcache_core.policies import (
    CalibratedPolicy,
    MarginPolicy,
    ThresholdPolicy,
    VerifiedPolicy,
    make_policy,
)
from semcache_core.policies._answers import Answers
from semcache_core.policies._bounds import binomial_cdf, hits_until
from semcache_core.policies._coin import draw
from semcache_core.policies._logistic import Logistic
from semcache_core.policies.calibrated import REMEMBERED
from semcache_core.policies.certificate import ALARM, PATIENCE, WINDOW, Certificate
from semcache_core.protocols import Learner, Policy, Watchful

LEARNING = [CalibratedPolicy, VerifiedPolicy]


def query(i):
    """The i'th question."""
    return Query(f"question {i}", np.zeros(2, np.float32))


def good(i):
    """A near candidate with company: right."""
    return [scored(0.97, key=f"a{i % 40}"), scored(0.6, key=f"b{i % 7}", answer=b"other")]


def bad(i):
    """A candidate about as near as its rival: wrong."""
    return [scored(0.7, key=f"c{i % 40}"), scored(0.69, key=f"d{i % 7}", answer=b"other")]


def feed(policy, n, start=0, right=lambda i: True):
    """The decisions on n lookups, half of them good; labels go where they are asked for."""
    decisions = []
    for i in range(start, start + n):
        near = i % 2 == 0
        decision = policy.decide(query(i), good(i) if near else bad(i))
        if decision.action is not Action.SERVE and decision.chosen:
            policy.observe(query(i), decision.chosen[0], near and right(i))
        decisions.append(decision)
    return decisions


@cache
def learnt(kind, seed):
    """The state of a policy that has seen enough to serve: learnt once for all tests."""
    policy = kind(0.05, seed=seed)
    feed(policy, 1200)
    assert policy.calibration.certified
    return policy.state()


def certified(kind, seed=0, **arguments):
    """A policy that has seen enough to serve."""
    policy = kind(0.05, seed=seed, **arguments)
    policy.restore(learnt(kind, seed))
    return policy


@pytest.mark.parametrize("kind", LEARNING)
def test_fits_the_seams(kind):
    """Both are policies and learners."""
    assert isinstance(kind(0.05), Policy)
    assert isinstance(kind(0.05), Learner)
    assert kind(0.05, floor=0.7).floor == 0.7


@pytest.mark.parametrize("kind", LEARNING)
def test_uncertified_serves_nothing_and_asks_for_labels(kind):
    """Before the certificate every lookup is refused, says what is missing, and wants its label."""
    decision = kind(0.05).decide(QUERY, good(0))
    assert (decision.action, decision.why) == (Action.REFUSE, Reason.UNCERTIFIED)
    assert decision.reason.startswith("cannot certify 5.0% false hits")
    assert decision.chosen[0].candidate.entry.key == "a0"


@pytest.mark.parametrize("kind", LEARNING)
def test_serves_the_good_and_refuses_the_bad_once_certified(kind):
    """With a certificate the right candidates are hits and the wrong ones are not."""
    policy = certified(kind)
    decisions = feed(policy, 400, start=4000)
    near, far = decisions[::2], decisions[1::2]
    assert sum(d.action is Action.SERVE for d in near) > 170
    assert {d.action for d in near} == {Action.SERVE, Action.EXPLORE}
    assert {(d.action, d.why) for d in far} == {(Action.REFUSE, Reason.BELOW)}
    served = next(d for d in near if d.action is Action.SERVE)
    assert served.why is Reason.SEMANTIC
    assert len(served.chosen) == 1
    assert served.threshold == policy.calibration.threshold


@pytest.mark.parametrize("kind", LEARNING)
def test_audits_the_share_of_hits_it_was_told(kind):
    """About `audit_rate` of the would-be hits explore, whatever the order."""
    policy = certified(kind, audit_rate=0.2)
    actions = [policy.decide(query(i), good(i)).action for i in range(10_000, 12_000)]
    assert actions.count(Action.EXPLORE) / 2000 == pytest.approx(0.2, abs=0.04)


def test_misses_are_labelled_as_often_as_asked():
    """By default misses are sampled like hits; the verified policy compares all of them."""
    calibrated, verified = certified(CalibratedPolicy), certified(VerifiedPolicy)
    asked = [
        sum(bool(p.decide(query(i), bad(i)).chosen) for i in range(10_000, 12_000)) / 2000
        for p in (calibrated, verified)
    ]
    assert asked[0] == pytest.approx(0.05, abs=0.02)
    assert asked[1] == 1.0


@pytest.mark.parametrize("kind", LEARNING)
def test_decisions_are_pure(kind):
    """The same state and lookup give the same decision, audits included; another seed differs."""
    policy, twin = certified(kind, seed=1), certified(kind, seed=1)
    lookups = [(query(i), good(i)) for i in range(500)]
    first = [policy.decide(*lookup).action for lookup in lookups]
    assert first == [policy.decide(*lookup).action for lookup in lookups]
    assert first == [twin.decide(*lookup).action for lookup in lookups]
    other = certified(kind, seed=2)
    assert first != [other.decide(*lookup).action for lookup in lookups]


def served_by(policy):
    """A lookup that the policy serves."""
    return next(
        (query(i), good(i)) for i in range(99)
        if policy.decide(query(i), good(i)).action is Action.SERVE
    )  # fmt: skip


@pytest.mark.parametrize("kind", LEARNING)
def test_a_call_can_be_stricter_but_not_looser(kind):
    """The factor lifts the limit; below 1 it changes nothing, since it would void the budget."""
    policy = certified(kind)
    lookup = served_by(policy)
    assert policy.decide(*lookup, factor=50.0).action is Action.REFUSE
    assert policy.decide(*lookup, factor=50.0).chosen == ()
    assert policy.decide(query(1), bad(1), factor=0.1).action is Action.REFUSE


@pytest.mark.parametrize("kind", LEARNING)
def test_drift_withdraws_the_certificate(kind):
    """When audited hits turn bad the policy stops serving, and certifies again on new labels."""
    policy = certified(kind, audit_rate=0.3)
    feed(policy, 600, start=4000, right=lambda i: False)
    assert policy.alarms == 1
    assert not policy.calibration.certified
    assert policy.decide(QUERY, good(0)).why is Reason.UNCERTIFIED


@pytest.mark.parametrize("kind", LEARNING)
def test_shadow_labels_of_hits_do_not_bias_the_sample(kind):
    """Where every would-be hit is labelled too, hits and misses count with the same chance."""
    policy = certified(kind, audit_rate=0.2)
    before = policy.calibration.labels, len(policy._certificate.scores)
    limit = policy.calibration.threshold
    for i in range(4000, 8000):
        decision = policy.decide(query(i), good(i) if i % 2 == 0 else bad(i))
        if decision.chosen:
            policy.observe(query(i), decision.chosen[0], i % 2 == 0)
    new = list(policy._certificate.scores)[before[1] :]
    assert len(new) == pytest.approx(800, abs=120)
    assert sum(score >= limit for score in new) / len(new) == pytest.approx(0.5, abs=0.06)


def test_what_is_missing_is_counted_down():
    """Until the first attempt each label brings it nearer by one; then the log is told."""
    policy = CalibratedPolicy(0.05)
    missing = []
    for i in range(50):
        missing.append(policy.calibration.needed)
        policy.observe(query(i), policy.decide(query(i), good(i)).chosen[0], True)
    assert missing == list(range(missing[0], missing[0] - 50, -1))
    assert f"about {missing[-1] - 1} more labelled hits needed" in str(policy.calibration)


def test_what_is_missing_is_no_less_than_the_last_attempt_found():
    """Where a rate close to the budget needs many labels, the next attempt is not the end of it."""
    certificate = Certificate(0.05, fill=1.0)
    while certificate.looks < 1:
        certificate.add(0.9, certificate.seen % 24 > 0)
    at_once = certificate.calibration.needed
    assert at_once is not None
    assert at_once > certificate.due - certificate.seen
    for i in range(100):
        certificate.add(0.9, i % 24 > 0)
    assert certificate.calibration.needed == at_once - 100


def test_the_log_hears_of_certificates_and_alarms(caplog):
    """A certificate is good news, its withdrawal a warning."""
    caplog.set_level("INFO", logger="semcache")
    policy = CalibratedPolicy(0.05, audit_rate=0.3)
    feed(policy, 1400)
    assert "certified 5.0% false hits" in caplog.text
    feed(policy, 600, start=4000, right=lambda i: False)
    assert any(record.levelname == "WARNING" for record in caplog.records)


@pytest.mark.parametrize("kind", LEARNING)
def test_labels_nobody_asked_for_do_not_count(kind):
    """A reported hit or a label of another candidate says nothing of the rate."""
    policy = kind(0.05)
    for i in range(3000):
        policy.observe(query(i), good(i)[0], True)
    assert policy.calibration.labels == 0
    assert not policy.calibration.certified


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("candidates", [[], [scored(0.99, similarity=0.2)]])
def test_nothing_to_serve_is_refused(kind, candidates):
    """Without a candidate above the floor there is no decision to learn from."""
    decision = certified(kind).decide(QUERY, candidates)
    assert decision.action is Action.REFUSE
    assert decision.chosen == ()
    assert decision.why in (Reason.EMPTY, Reason.BELOW)


@pytest.mark.parametrize("kind", LEARNING)
def test_state_survives_a_restart(kind):
    """A new policy with the state decides, and goes on learning, like the old one."""
    policy, new = certified(kind), kind(0.05)
    new.restore(policy.state())
    assert new.state() == policy.state()
    assert new.calibration == policy.calibration
    assert [(d.action, d.reason) for d in feed(new, 300, start=9000)] == [
        (d.action, d.reason) for d in feed(policy, 300, start=9000)
    ]
    assert new.state() == policy.state()


@pytest.mark.parametrize("kind", LEARNING)
def test_state_is_bounded(kind):
    """However long it learns, the state stays below a megabyte."""
    policy = kind(0.05)
    asked = policy.decide(QUERY, good(0)).chosen[0]
    for i in range(WINDOW + 3000):
        best = replace(asked, candidate=scored(0.9, key=f"k{i}").candidate)
        policy.observe(query(i), best, i % 3 > 0)
    assert len(policy.state()) < 1_000_000


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize(
    "state", ["", "null", "[]", "{}", '{"policy": "%s"}', '{"policy": "%s", "certificate": 3}']
)
def test_a_damaged_state_is_refused_and_changes_nothing(kind, state):
    """Half a state is none: the error says so and the policy stays as it was."""
    policy = certified(kind)
    before = policy.state()
    with pytest.raises(ConfigError, match=r"not (a )?saved"):
        policy.restore(state.replace("%s", kind.name))
    assert policy.state() == before


def test_another_policys_state_is_left_alone():
    """Changing the policy of a cache starts anew instead of failing."""
    policy = VerifiedPolicy(0.05)
    policy.restore(certified(CalibratedPolicy).state())
    assert policy.calibration.labels == 0


def test_labels_serve_another_budget():
    """Restored under another budget, the labels count and the threshold is found anew."""
    policy = certified(CalibratedPolicy)
    other = CalibratedPolicy(0.1)
    other.restore(policy.state())
    assert other.calibration.max_false_hit_rate == 0.1
    feed(other, 100)
    assert other.calibration.certified
    few = CalibratedPolicy(0.05, fill=1.0)
    feed(few, 20)
    strict = CalibratedPolicy(0.01)
    strict.restore(few.state())
    assert not strict.calibration.certified


def test_learns_from_many_threads():
    """Labels of several threads all count, and decisions go on meanwhile."""
    policy = CalibratedPolicy(0.05)
    asked = policy.decide(QUERY, good(0)).chosen[0]

    def learn():
        for i in range(200):
            policy.observe(query(i), asked, True)
            policy.decide(query(i), good(i))

    threads = [threading.Thread(target=learn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(policy.state())["observed"] == 800


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_false_hit_rate": 0}, "max_false_hit_rate"),
        ({"max_false_hit_rate": 5}, "max_false_hit_rate"),
        ({"max_false_hit_rate": 0.05, "confidence": 1.0}, "confidence"),
        ({"max_false_hit_rate": 0.05, "audit_rate": 0.0}, "audit_rate"),
        ({"max_false_hit_rate": 0.05, "label_misses": 0.01}, "label_misses"),
        ({"max_false_hit_rate": 0.05, "floor": -1}, "floor"),
        ({"max_false_hit_rate": 0.05, "fill": 0.5}, "fill"),
    ],
)
@pytest.mark.parametrize("kind", LEARNING)
def test_nonsense_is_named(kind, arguments, named):
    """Each argument that cannot work is named."""
    with pytest.raises(ConfigError, match=named):
        kind(**arguments)


def test_a_look_that_fails_keeps_the_certificate():
    """Only an alarm withdraws; a later look without a result changes nothing."""
    certificate = Certificate(0.05, fill=1.0)
    for _ in range(600):
        certificate.add(0.9, True)
    held = certificate.calibration
    assert held.certified
    certificate.scores.clear()
    certificate.labels.clear()
    certificate.look()
    assert certificate.calibration is held


def test_a_poor_first_certificate_is_not_taken():
    """While labels are few, a threshold that gives most of the hits away waits for a better one."""
    random = np.random.default_rng(0)
    certificate = Certificate(0.05, fill=1.0)
    while certificate.looks < 1:
        score = random.uniform()
        certificate.add(score, random.uniform() >= (0.001 if score > 0.8 else 0.045))
    waiting = certificate.calibration
    assert not waiting.certified
    assert waiting.needed is not None
    assert waiting.potential > 0.9
    while certificate.seen <= PATIENCE or certificate.looks < 6:
        score = random.uniform()
        certificate.add(score, random.uniform() >= (0.001 if score > 0.8 else 0.045))
    assert certificate.threshold is not None


def until_certified():
    """A certificate that was found this moment."""
    certificate = Certificate(0.05, fill=1.0)
    while certificate.looks < 1:
        certificate.add(0.9, True)
    return certificate


def test_a_first_certificate_is_rehearsed():
    """Nothing is served until fresh hits keep the budget: 59 right ones, or 92 of 93."""
    certificate = until_certified()
    for _ in range(58):
        assert certificate.threshold is None
        certificate.add(0.9, True)
    assert certificate.calibration.needed == 1
    certificate.add(0.9, False)
    assert certificate.calibration.needed == 93 - 59
    for _ in range(93 - 59):
        assert certificate.threshold is None
        certificate.add(0.9, True)
    assert certificate.threshold == 0.9


def test_misses_are_no_rehearsal():
    """Labels below the threshold say nothing of what would be served."""
    certificate = until_certified()
    for _ in range(100):
        certificate.add(0.5, False)
    assert certificate.threshold is None


def test_a_rehearsal_survives_a_restart_and_ends_with_an_alarm():
    """It goes on where it was; after an alarm it begins again; older states have none."""
    certificate, again, old = until_certified(), until_certified(), until_certified()
    for _ in range(58):
        certificate.add(0.9, True)
    saved = certificate.dump()
    again.load(saved)
    again.add(0.9, True)
    assert again.threshold == 0.9
    del saved["rehearsal"]
    old.load(saved)
    assert old.calibration.needed == 59
    for _ in range(math.ceil(math.log2(ALARM)) + 1):
        again.add(0.9, False)
    assert (again.alarms, again.missing) == (1, 59)


@pytest.mark.parametrize(
    ("false", "rate", "hits"), [(0, 0.05, 59), (1, 0.05, 93), (0, 0.01, 299), (4, 0.05, 181)]
)
def test_hits_until_a_budget_is_kept(false, rate, hits):
    """The numbers of the exact binomial test, and the one before is not enough."""
    assert hits_until(false, rate, 0.05) == hits
    assert binomial_cdf(false, hits, rate) <= 0.05 < binomial_cdf(false, hits - 1, rate)


@pytest.mark.parametrize("kind", LEARNING)
def test_a_question_asked_again_is_compared(kind):
    """One false hit does not become many: the second asking explores, there and only there."""
    policy = certified(kind)
    lookup = served_by(policy)
    assert isinstance(policy, Watchful)
    policy.served(lookup[0], policy.decide(*lookup).chosen[0])
    again = policy.decide(*lookup)
    assert again.action is Action.EXPLORE
    assert again.reason.startswith("asked again")
    elsewhere = replace(lookup[1][0].candidate.entry, scope="elsewhere")
    near = [replace(s, candidate=replace(s.candidate, entry=elsewhere)) for s in lookup[1]]
    assert not policy.decide(lookup[0], near).reason.startswith("asked again")


def test_what_was_served_is_forgotten_in_the_end():
    """Only the newest are remembered."""
    policy = VerifiedPolicy(0.05)
    for i in range(REMEMBERED + 10):
        policy.served(query(i), good(0)[0])
    assert len(policy._served) == REMEMBERED


def test_a_certificate_is_renewed():
    """More labels give a better threshold, at the confidence that was asked for."""
    certificate = Certificate(0.05, fill=1.0)
    for i in range(620):
        certificate.add(0.9 if i % 2 else 0.8, i % 2 == 1 or i % 12 > 0)
    first = certificate.threshold
    for _ in range(1500):
        certificate.add(0.8, True)
    assert first == 0.9
    assert certificate.threshold == 0.8
    assert certificate.calibration.confidence == 0.95


def test_a_state_with_lost_labels_is_refused():
    """Scores and labels that do not match are damage, not a shorter history."""
    saved = Certificate(0.05).dump()
    with pytest.raises(ConfigError, match="1 scores but 0 labels"):
        Certificate(0.05).load({**saved, "scores": [0.5]})


def test_looks_get_rarer():
    """The level is spent over looks that each wait for half as many labels again."""
    certificate = Certificate(0.05, fill=1.0)
    due = []
    for _ in range(5000):
        certificate.add(0.9, False)
        due.append(certificate.due)
    steps = sorted(set(due))
    assert all(later == math.ceil(1.5 * sooner) for sooner, later in pairwise(steps))
    assert certificate.looks == len(steps) - 1


def test_the_alarm_needs_evidence():
    """A single false hit is no alarm; a run of them is."""
    certificate = Certificate(0.05, fill=1.0)
    for _ in range(600):
        certificate.add(0.9, True)
    certificate.add(0.9, False)
    assert certificate.threshold is not None
    for _ in range(math.ceil(math.log2(ALARM))):
        certificate.add(0.9, False)
    assert certificate.threshold is None
    assert certificate.alarms == 1


def test_neighbours_with_the_same_answer_make_a_hit_surer():
    """Once labels have joined the neighbours' answers, they vote for the hit."""
    policy = VerifiedPolicy(0.05)
    a, b = scored(0.9, key="a"), scored(0.88, key="b")
    before = policy.decide(QUERY, [a, b]).chosen[0].value
    policy.observe(Query("b", QUERY.vector), a, True)
    after = policy.decide(QUERY, [a, b]).chosen[0]
    assert after.value > before
    assert [part.by for part in after.score.parts] == [
        "cosine", "gap", "score", "margin", "votes", "record", "cosine",
    ]  # fmt: skip


def test_wrong_labels_of_an_answer_make_it_doubtful():
    """An entry's own record counts, beside what is learnt over all."""
    policy = VerifiedPolicy(0.05)
    before = policy.decide(QUERY, [scored(0.9)]).chosen[0].value
    for i in range(5):
        policy.observe(query(i), scored(0.9), False)
    assert policy.decide(QUERY, [scored(0.9)]).chosen[0].value < before


def test_answers_group_questions():
    """Right labels join, wrong ones part; scopes never mix; the oldest are forgotten."""
    answers = Answers(limit=2)
    answers.learn("b", entry("a"), True)
    assert answers.group(entry("b")) == answers.group(entry("a"))
    assert answers.record(answers.group(entry("b"))) == (1, 0)
    answers.learn("b", entry("a"), False)
    assert answers.group(entry("b")) != answers.group(entry("a"))
    for name in "xyz":
        answers.learn(name, entry(f"{name}0"), True)
    assert len(answers.groups) == len(answers.records) == 2


@pytest.mark.parametrize(
    "saved", [None, {}, {"groups": [], "records": {}}, {"groups": {}, "records": {"a": 1}}]
)
def test_damaged_answers_are_refused(saved):
    """What `dump` did not give is a ConfigError."""
    with pytest.raises(ConfigError, match="not saved answers"):
        Answers().load(saved)


def test_logistic_learns_the_curve():
    """From labels drawn from a logistic curve it finds the curve's weights."""
    random = np.random.default_rng(0)
    model = Logistic((0.0, 0.0), (10.0, 10.0))
    for x in random.uniform(-2, 2, 20_000):
        model.learn([x], random.uniform() < 1 / (1 + math.exp(-(0.5 + 2 * x))))
    assert model.mean == pytest.approx([0.5, 2.0], abs=0.1)
    assert model.probability([0.0]) == pytest.approx(1 / (1 + math.exp(-0.5)), abs=0.02)
    assert 0 < model.probability([-1e9]) < model.probability([1e9]) < 1


@pytest.mark.parametrize(
    "saved", [None, {}, {"mean": [1], "covariance": [[1]]}, {"mean": "x", "covariance": 1}]
)
def test_a_damaged_logistic_is_refused(saved):
    """What `dump` did not give is a ConfigError, and changes nothing."""
    model = Logistic((0.0, 1.0), (1.0, 1.0))
    with pytest.raises(ConfigError, match="logistic"):
        model.load(saved)
    assert model.mean.tolist() == [0.0, 1.0]


def test_the_coin_is_uniform_and_fixed():
    """Draws depend on seed and values alone, and are spread evenly over [0, 1)."""
    draws = [draw(3, "q", i) for i in range(5000)]
    assert draws[0] == draw(3, "q", 0) != draw(4, "q", 0)
    assert all(0 <= x < 1 for x in draws)
    counts, _ = np.histogram(draws, bins=10, range=(0, 1))
    assert counts.min() > 420
    assert counts.max() < 580


def test_factory_makes_the_learning_policies():
    """A budget alone asks for the verified policy; the names choose."""
    made = make_policy(max_false_hit_rate=0.01, default_threshold=0.9)
    assert isinstance(made, VerifiedPolicy)
    assert made.calibration.max_false_hit_rate == 0.01
    named = make_policy(
        "calibrated", max_false_hit_rate=0.02, confidence=0.9, seed=3, default_threshold=0.9
    )
    assert type(named) is CalibratedPolicy
    assert named.calibration.confidence == 0.9
    assert isinstance(make_policy("margin", default_threshold=0.9), MarginPolicy)
    assert isinstance(make_policy("threshold", default_threshold=0.9), ThresholdPolicy)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"spec": "calibrated"}, "max_false_hit_rate"),
        ({"threshold": 0.9, "max_false_hit_rate": 0.01}, r"max_false_hit_rate=0\.01.*threshold="),
        ({"spec": "verified", "max_false_hit_rate": 0.01, "threshold": 0.9}, "verified.*threshold"),
        ({"spec": "threshold", "max_false_hit_rate": 0.01}, "threshold.*max_false_hit_rate"),
        ({"confidence": 0.9}, "confidence"),
        ({"seed": 1}, "seed"),
        ({"spec": ThresholdPolicy(0.9), "max_false_hit_rate": 0.1}, "policy=.*max_false_hit_rate"),
        ({"max_false_hit_rate": 0.1, "confidence": 0.0}, "confidence"),
    ],
)  # fmt: skip
def test_factory_names_what_contradicts(arguments, named):
    """Arguments that exclude one another are both in the message."""
    with pytest.raises(ConfigError, match=named):
        make_policy(**arguments, default_threshold=0.8)
