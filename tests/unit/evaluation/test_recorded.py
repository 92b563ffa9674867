"""A shadow cache's labels, measured as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semcache_core.errors import ConfigError
from semcache_core.evaluation import evaluate_labels
from semcache_core.evaluators import Cosine
from semcache_core.labels import Label
from semcache_core.policies import VerifiedPolicy

LABELS = [
    Label("", "", 0.99, 0.99, correct=True, entry="a"),
    Label("q", "s", 0.95, 0.95, correct=False, entry="b"),
    Label("", "", 0.92, 0.92, correct=True, entry="c" * 20),
    Label("", "", 0.70, 0.70, correct=True, entry="d"),
    Label("", "", 0.30, 0.30, correct=False, entry="e"),
]


def test_figures_and_curve_by_hand():
    """Hits at the threshold, recall of what was right, and a point of the curve for each score."""
    report = evaluate_labels(LABELS, evaluator=Cosine(), threshold=0.9)
    assert (report.source, report.lookups, report.answerable) == ("labels", 5, 3)
    assert (report.hits, report.right) == (3, 2)
    assert report.recall.value == pytest.approx(2 / 3)
    assert report.plot()["precision"] == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert report.plot()["hit_rate"] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [(one.query, one.stored, one.served) for one in report.mistakes] == [
        ("q", "s", True),
        ("", "entry d", False),
    ]
    assert "at a hit rate of" in str(report)


def test_the_floor_holds_and_a_learning_policy_is_asked_as_it_is():
    """What lies below the policy's floor is no hit; one that certifies nothing serves nothing."""
    near = [replace(one, similarity=0.4) for one in LABELS]
    assert evaluate_labels(near, evaluator=Cosine(), threshold=0.9).hits == 0
    assert evaluate_labels(LABELS, evaluator=Cosine(), policy=VerifiedPolicy(0.05)).hits == 0


def test_no_labels_are_refused():
    """There is nothing to be said of none."""
    with pytest.raises(ConfigError, match="labels: none"):
        evaluate_labels([], evaluator=Cosine())
