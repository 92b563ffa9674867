"""calibrate(): from labelled questions or labels to a threshold in a file."""

from __future__ import annotations

import json

import pytest

from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation import Pair, calibrate
from semcache_core.evaluators import Cosine
from semcache_core.learning import Label
from semcache_core.policies import ThresholdPolicy, WeighedPolicy

WHOSE = {"embedder": HashEmbedder(), "evaluator": Cosine()}


def labels(count, wrong=0):
    """Of a shadow cache: good ones above, bad ones far below."""
    good = [Label(f"q{i}", f"s{i}", 0.9, 0.9, True, f"e{i}") for i in range(count)]
    bad = [Label(f"q{i}", f"s{i}", 0.7, 0.7, False, f"e{i}") for i in range(wrong)]
    return good + bad


def test_labels_are_certified_with_whose_scores_they_are():
    """The file has the calibration, and the evaluator and the embedder that it holds for."""
    found = calibrate(labels(300, wrong=100), 0.05, **WHOSE)
    assert found.calibration.threshold == 0.9
    assert found.scores_of == {"evaluator": "cosine", "embedder": WHOSE["embedder"].identity}
    assert str(found).startswith("certified 5.0% false hits")


def test_examples_are_scored_first():
    """Pairs go through the embedder and the evaluator, as lookups do."""
    pairs = [
        Pair(f"pay bill number {i} now", f"pay bill number {i} now please", True)
        for i in range(200)
    ]
    found = calibrate(pairs, 0.1, floor=0.1, **WHOSE)
    assert found.calibration.certified
    assert found.calibration.labels == 200


def test_what_is_saved_is_json_that_says_it(tmp_path):
    """A person can read it; a configuration does (tests/integration/test_budget_frameworks.py)."""
    found = calibrate(labels(300), 0.05, **WHOSE)
    found.save(tmp_path / "policy.json")
    saved = json.loads((tmp_path / "policy.json").read_text())
    assert saved == found.to_dict()
    assert saved["max_false_hit_rate"] == 0.05


def weighed_labels():
    """The cosine tells right from wrong, the score does not."""
    return [
        Label(f"q{i}", f"s{i}", 0.95 if i % 3 else 0.7, i % 7 / 7, i % 3 > 0, f"e{i}")
        for i in range(1200)
    ]


def test_weights_are_certified_where_the_score_says_nothing(tmp_path):
    """They are told, saved, and make the policy."""
    found = calibrate(weighed_labels(), 0.05, **WHOSE)
    assert isinstance(found.policy(), WeighedPolicy)
    assert "the threshold is one of 1 / (1 + exp(-z)), z = " in str(found)
    found.save(tmp_path / "policy.json")
    saved = json.loads((tmp_path / "policy.json").read_text())
    assert list(saved["weights"]) == ["intercept", "cosine", "gap", "score"]


def test_a_plain_threshold_makes_a_plain_policy():
    """With the floor that is asked for; nothing certified makes none."""
    assert calibrate(labels(300), 0.05, **WHOSE).policy(0.8) == ThresholdPolicy(0.9, 0.8)
    with pytest.raises(ConfigError, match="no policy: cannot certify"):
        calibrate(labels(20), 0.05, **WHOSE).policy()


def test_nothing_certified_is_not_saved(tmp_path):
    """A file without a threshold would serve nothing, and look as if it did."""
    found = calibrate(labels(20), 0.05, **WHOSE)
    with pytest.raises(ConfigError, match=r"nothing to save: cannot certify .* more labelled hits"):
        found.save(tmp_path / "policy.json")
    assert not (tmp_path / "policy.json").exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    """With the path and the system's reason."""
    found = calibrate(labels(300), 0.05, **WHOSE)
    with pytest.raises(ConfigError, match=r"absent.*cannot be written"):
        found.save(tmp_path / "absent" / "policy.json")


def test_examples_and_labels_do_not_mix():
    """One source or the other."""
    with pytest.raises(ConfigError, match="not both"):
        calibrate([*labels(3), Pair("a", "b", True)], 0.05, **WHOSE)
