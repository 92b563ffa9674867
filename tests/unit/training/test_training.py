"""Training: coefficients follow the user's labels, from where the shipped ones stand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny_model

from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError, MissingDependency
from semcache_core.evaluation import Pair
from semcache_core.evaluators import CrossEncoderEvaluator, Verifier
from semcache_core.evaluators.verifier import load
from semcache_core.training import train
from semcache_core.training._verifier import fit

THINGS = [
    "bread",
    "soup",
    "pasta",
    "rice",
    "cake",
    "pizza",
    "salad",
    "curry",
    "bacon",
    "toast",
    "jam",
    "honey",
]
PAIRS = [Pair(f"how do I cook {a}", f"how should I cook {a}", True) for a in THINGS] + [
    Pair(f"how do I cook {a}", f"how do I cook {a} for a large wedding party", False)
    for a in THINGS
]


@pytest.mark.parametrize("kind", ["verifier", "cross_encoder"])
def test_the_folder_has_to_be_there(tmp_path: Path, kind: str):
    """As for every other file that is written: a slip of the pen makes no folders."""
    with pytest.raises(ConfigError, match=r"path: the folder of '.*c\.json' does not exist"):
        train(PAIRS, tmp_path / "a" / "b" / "c.json", kind=kind, embedder=HashEmbedder())
    assert not (tmp_path / "a").exists()


def test_fit_finds_what_separates():
    """A feature that tells the labels apart gets its weight, one of the wrong sign none."""
    x = np.array([[1.0, 0.0], [0.0, 1.0]] * 200)
    y = np.array([1.0, 0.0] * 200)
    found = fit(x, y, np.zeros(3), np.array([0, 1, 1]))
    assert found[1] > 1.0
    assert found[2] == 0.0


def test_fit_with_few_pairs_stays_near_the_start():
    """Belief in the start outweighs a handful of labels, and not thousands."""
    start = np.array([0.0, 3.0])
    x, y = np.array([[1.0], [0.0]] * 2), np.array([0.0, 1.0] * 2)
    few = fit(x, y, start, np.array([0, 1]))
    many = fit(np.tile(x, (500, 1)), np.tile(y, 500), start, np.array([0, 1]))
    assert 2.0 < few[1] < 3.0
    assert many[1] == 0.0


def test_a_verifier_is_trained_and_used(tmp_path: Path):
    """The file loads, the weights moved, and the trained one does no worse on pairs kept back."""
    path = tmp_path / "mine.json"
    trained = train(PAIRS, path, embedder=HashEmbedder(), held_out=0.25)
    assert trained.learnt_from == 18
    assert load(path) != load()
    assert trained.after.area >= trained.before.area
    assert trained.before.lookups == trained.after.lookups == 6
    assert Verifier(path).name == "verifier"
    assert trained.evaluator().name == "verifier"
    assert json.loads(path.read_text(encoding="utf-8"))["trained on"]["pairs"] <= 18


def test_the_same_seed_trains_the_same(tmp_path: Path):
    """The split and the fit depend on the seed alone."""
    one = train(PAIRS, tmp_path / "one.json", embedder=HashEmbedder(), seed=3)
    two = train(PAIRS, tmp_path / "two.json", embedder=HashEmbedder(), seed=3)
    assert one.path.read_bytes() == two.path.read_bytes()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"kind": "forest"}, "give one of verifier, cross_encoder"),
        ({"held_out": 1.0}, "a share between"),
        ({"pairs": PAIRS[:12]}, "12 that are the same and 0 that are not"),
        ({"kind": "cross_encoder", "epochs": 0}, "epochs=0"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path: Path, how, message):
    """The error says what was given and what is needed."""
    given = {"pairs": PAIRS, "embedder": HashEmbedder()} | how
    with pytest.raises(ConfigError, match=message):
        train(given.pop("pairs"), tmp_path / "x", **given)


def test_pairs_that_the_guards_decide_teach_nothing(tmp_path: Path):
    """A verifier only sees what the guards let pass."""
    numbers = [Pair(f"cook {n} eggs", f"cook {n + 1} eggs", False) for n in range(2, 14)]
    with pytest.raises(ConfigError, match="one label"):
        train(PAIRS[:12] + numbers, tmp_path / "x", embedder=HashEmbedder())


class Narrow(HashEmbedder):
    """Sees no text at all."""

    def fits(self, text: str) -> bool:
        return False


def test_texts_that_do_not_fit_teach_nothing(tmp_path: Path):
    """Nothing is embedded that the model would cut."""
    with pytest.raises(ConfigError, match="one label"):
        train(PAIRS, tmp_path / "x", embedder=Narrow())


def test_a_cross_encoder_is_fine_tuned(tmp_path: Path):
    """Its loss falls on what it saw, and the folder loads as any model does."""
    base = tiny_model(tmp_path / "base")
    folder = tmp_path / "tuned"
    trained = train(
        PAIRS, folder, kind="cross_encoder", embedder=HashEmbedder(), base=base, epochs=1
    )
    assert trained.evaluator().name == "cross_encoder"
    scorer = CrossEncoderEvaluator(folder, grey_zone=(0.0, 1.0))
    assert scorer.name == "cross_encoder"
    assert trained.after.lookups == trained.before.lookups


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Training a cross-encoder needs an extra, and the error says which."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependency, match=r"llm-semcache\[local\]"):
        train(PAIRS, tmp_path / "x", kind="cross_encoder", embedder=HashEmbedder())
