"""A shadow cache's own labels, measured: nothing is embedded or scored again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semcache_core.errors import ConfigError
from semcache_core.evaluation.measuring import policy_of
from semcache_core.evaluation.report import Mistake, Report
from semcache_core.evaluation.shares import area, curve
from semcache_core.labels import Label
from semcache_core.models import Action, Candidate, Entry, Query, Score, Scored
from semcache_core.protocols import Evaluator, Policy


def evaluate_labels(
    labels: Sequence[Label],
    *,
    evaluator: Evaluator,
    policy: Policy | None = None,
    threshold: float | None = None,
) -> Report:
    """What a policy would have served of `cache.labels()` in shadow mode, and the P-CHR curve.

    Each label is a lookup with one candidate. Exact repeats, lookups without a candidate above the
    floor, and those whose answers were not compared have no label and are in no figure; recall is
    of the lookups whose candidate was right. `evaluator` is the one that scored, for its threshold.
    A policy that learns is asked as it is. Raises `ConfigError`.
    """
    if not labels:
        raise ConfigError("labels: none given")
    decided_by, name = policy_of(policy, threshold, evaluator), evaluator.name
    served = [_serves(decided_by, one, name) for one in labels]
    values, right = [one.score for one in labels], [one.correct for one in labels]
    pairs = list(zip(labels, served, strict=True))
    return Report(
        source="labels",
        lookups=len(labels),
        answerable=sum(right),
        hits=sum(served),
        right=sum(one.correct for one, hit in pairs if hit),
        points=curve(values, right, len(labels), sum(right)),
        area=area(right, values),
        mistakes=tuple(_mistake(one, hit, name) for one, hit in pairs if hit is not one.correct),
    )


def _serves(policy: Policy, label: Label, by: str) -> bool:
    if label.similarity < policy.floor:
        return False
    entry = Entry(label.entry, "", "", b"", 0.0, query=label.stored_question)
    scored = Scored(Candidate(entry, label.similarity), Score(label.score, by))
    nothing = np.zeros(1, np.float32)  # a policy looks at candidates, not at the question's vector
    decision = policy.decide(Query(label.question, nothing), [scored])
    return decision.action is Action.SERVE


def _mistake(label: Label, served: bool, by: str) -> Mistake:
    # The record keeps no texts with its labels; which entry it was, it does.
    stored = label.stored_question or f"entry {label.entry[:12]}"
    reason = f"{by} {label.score:.3f}"
    return Mistake(label.question, stored, served, label.similarity, label.score, reason)
