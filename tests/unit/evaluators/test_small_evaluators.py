"""Distances, BM25, k-reciprocal, sequence, time, table, the verifier and the default."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluator_values import candidate, query
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, EvaluatorError, IncompatibleError
from semcache_core.evaluators import (
    BM25,
    L2,
    RECOMMENDED_FLOOR,
    RECOMMENDED_THRESHOLD,
    Cosine,
    Exact,
    KReciprocal,
    SequenceMatch,
    TimeDecay,
    Verifier,
    default_evaluator,
    evaluate,
)
from semcache_core.evaluators.testing import TableEvaluator
from semcache_core.evaluators.verifier import load
from semcache_core.evaluators.verifier._features import SIGNS
from semcache_core.models import Score
from semcache_core.protocols import Embedder, Evaluator


def value(evaluator: Evaluator, text: str, stored: str | None, similarity: float = 0.9) -> float:
    """The score of one pair."""
    return evaluator.score(query(text), [candidate(stored, similarity)])[0].value


@given(st.floats(-1.0, 1.0))
def test_distances_stay_in_range_and_order(similarity: float) -> None:
    """Both are in [0, 1] and 1 for the same direction only."""
    cosine, l2 = (value(e, "a", "b", similarity) for e in (Cosine(), L2()))
    assert 0.0 <= cosine <= 1.0
    assert 0.0 <= l2 <= 1.0


def test_l2_is_the_euclidean_distance() -> None:
    """The formula agrees with the distance of two unit vectors."""
    a, b = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    assert value(L2(), "a", "b", float(a @ b)) == pytest.approx(1 - np.linalg.norm(a - b) / 2)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("What is it?", "what  IS it", 1.0),
        ("C++", "C", 0.0),
        ("a", None, 0.0),
        ("ﬁne", "fine", 1.0),
    ],
)
def test_exact_ignores_case_space_and_punctuation(a: str, b: str | None, same: float) -> None:
    """Signs that carry meaning are kept."""
    assert value(Exact(), a, b) == same


def test_bm25_prefers_shared_rare_words() -> None:
    """The same words score 1, a shared rare word more than a shared common one, others 0."""
    bm25 = BM25()
    bm25.observe([f"how do I cook rice number {n}" for n in range(50)] + ["how is saffron sold"])
    assert value(bm25, "cook saffron", "saffron cook") == pytest.approx(1.0)
    assert value(bm25, "cook saffron", "sell saffron") > value(bm25, "cook saffron", "cook rice")
    assert value(bm25, "saffron", "weather") == 0.0
    assert value(bm25, "?", "?") == 0.0
    assert value(bm25, "saffron", None) == 0.0


def test_bm25_forgets_the_oldest() -> None:
    """Statistics are of the entries seen last, each counted once."""
    bm25 = BM25(remembered=2)
    bm25.observe(["one apple", "one apple", "two pears", "three plums"])
    assert bm25._holding["appl"] == 0
    assert len(bm25._seen) == 2


@pytest.mark.parametrize("wrong", [{"k1": -1.0}, {"b": 2.0}, {"remembered": 0}])
def test_bm25_arguments(wrong: dict[str, Any]) -> None:
    """Out of range is refused."""
    with pytest.raises(ConfigError):
        BM25(**wrong)


def test_k_reciprocal_finds_identical_questions_and_refuses_outsiders() -> None:
    """GPTCache lost the identical; an entry whose neighbours are all nearer is no match."""
    evaluator = KReciprocal(lambda entry, k: [0.97, 0.95, 0.9][:k], k=2)
    assert value(evaluator, "a", "a", 1.0) == 1.0
    assert value(evaluator, "a", "b", 0.96) == pytest.approx(0.96)
    assert value(evaluator, "a", "b", 0.94) == 0.0
    lonely = KReciprocal(lambda entry, k: [], k=2)
    assert value(lonely, "a", "b", 0.5) == 0.5


def test_k_reciprocal_arguments() -> None:
    """Without neighbours, or with none asked for, it cannot work."""
    with pytest.raises(IncompatibleError, match="neighbours"):
        KReciprocal(None)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigError, match="k=0"):
        KReciprocal(lambda entry, k: [], k=0)


def test_sequence_aligns_from_the_newest() -> None:
    """Same newest turns score as the same conversation as far as the weights reach."""
    evaluator = SequenceMatch(HashEmbedder(), weights=(0.5, 0.3, 0.2))
    near = [
        candidate("q", 1.0, turns=("x", "b", "c")),
        candidate("q", 1.0, turns=("c", "b")),
        candidate("q", 1.0, turns=("c",)),
        candidate("q", 1.0),
    ]
    same, turned, shorter, none = evaluator.score(query("q", ("a", "b", "c")), near)
    assert same.value == pytest.approx(1.0, abs=1e-5)
    assert turned.value < same.value
    assert shorter.value == pytest.approx(0.8, abs=1e-5)
    assert none.value == pytest.approx(0.5, abs=1e-5)
    assert "newest first" in same.reason


def test_sequence_without_turns_is_the_similarity() -> None:
    """Weights are renormalised to what there is."""
    assert value(SequenceMatch(HashEmbedder()), "a", "b", 0.7) == pytest.approx(0.7)


@pytest.mark.parametrize("weights", [(), (0.5, 0.6), (1.0, 0.0), (math.nan,)])
def test_sequence_arguments(weights: tuple[float, ...]) -> None:
    """Weights are positive and the newest weighs most; an embedder is needed."""
    with pytest.raises(ConfigError, match="weights"):
        SequenceMatch(HashEmbedder(), weights)
    with pytest.raises(IncompatibleError, match="embedder"):
        SequenceMatch(None)  # type: ignore[arg-type]  # that is the point


def test_time_decays_and_ends() -> None:
    """Half after one half-life, rejected beyond the greatest age, unharmed by a clock ahead."""
    evaluator = TimeDecay(half_life=100, max_age=150, clock=lambda: 1_000.0)
    near = [candidate("a", created=created) for created in (1_000.0, 900.0, 800.0, 2_000.0)]
    new, old, ended, ahead = evaluator.score(query("q"), near)
    assert (new.value, old.value, ahead.value) == (1.0, 0.5, 1.0)
    assert ended.rejected
    assert "200 s old" in ended.reason
    assert TimeDecay(max_age=500, clock=lambda: 1_000.0).score(query("q"), near)[2].value == 1.0


@pytest.mark.parametrize("wrong", [{}, {"half_life": 0}, {"max_age": -1}])
def test_time_arguments(wrong: dict[str, Any]) -> None:
    """One of the two, above 0."""
    with pytest.raises(ConfigError, match="half_life"):
        TimeDecay(**wrong)


def test_table() -> None:
    """Rows, the default, and an error without one; every call is kept."""
    table = TableEvaluator({("q", "a"): 0.3, ("q", "b"): Score(0.0, "x", "no", rejected=True)})
    assert table.score(query("q"), [candidate("a")])[0].value == 0.3
    assert table.score(query("q"), [candidate("b")])[0].rejected
    with pytest.raises(EvaluatorError, match="table"):
        table.score(query("q"), [candidate("c")])
    assert (
        TableEvaluator({}, default=1.0, name="t").score(query("q"), [candidate("c")])[0].by == "t"
    )
    assert table.calls[0] == ("q", ("a",))


def test_the_verifier_agrees_with_its_file() -> None:
    """The probability is the logistic of the file's numbers; signs are as documented."""
    model = load()
    for weight, sign in zip(model.weights, SIGNS.values(), strict=True):
        assert weight * sign >= 0
    same = Verifier().probability("reverse a list", "reverse a list", 0.9)
    weights = dict(zip(SIGNS, model.weights, strict=True))
    z = model.intercept + weights["cosine"] * 0.9 + weights["gap"] * -math.log(0.1)
    z += weights["all_said"]
    assert same == pytest.approx(1 / (1 + math.exp(-z)))


@given(st.text(max_size=40), st.text(max_size=40), st.floats(-1, 1), st.floats(-1, 1))
@settings(max_examples=150, deadline=None)
def test_the_verifier_is_symmetric_and_grows_with_the_cosine(
    a: str, b: str, one: float, other: float
) -> None:
    """Which text was stored does not matter, and nearer is never worse."""
    verifier = Verifier()
    low, high = sorted((one, other))
    assert 0.0 <= verifier.probability(a, b, low) <= verifier.probability(a, b, high) + 1e-9 <= 1.1
    assert verifier.probability(a, b, one) == pytest.approx(verifier.probability(b, a, one))


def test_the_verifier_mistrusts_what_is_left_over() -> None:
    """More words without an answer on the other side make a match less likely."""
    verifier = Verifier()
    asked = "how do I roast a chicken"
    stored = [
        asked,
        "how do I roast a chicken slowly",
        "how do I roast a chicken and a goose breast",
    ]
    values = [verifier.probability(asked, text, 0.9) for text in stored]
    assert values == sorted(values, reverse=True)
    assert verifier.score(query(asked), [candidate(None)])[0].value < 1.0


@pytest.mark.parametrize("text", ["", "[]", '{"intercept": 1, "weights": {}}', "nan"])
def test_unreadable_coefficients_are_refused(tmp_path: Path, text: str) -> None:
    """A broken file is found at construction."""
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="coefficients"):
        Verifier(path)
    with pytest.raises(ConfigError, match="coefficients"):
        Verifier(tmp_path / "none.json")
    path.write_text(json.dumps({"intercept": math.inf, "weights": dict.fromkeys(SIGNS, 0)}))
    with pytest.raises(ConfigError, match="finite"):
        Verifier(path)


TRAPS = [
    ("How do I cancel my gym membership?", "How do I renew my gym membership?"),
    (
        "What is the boiling point of water in Celsius?",
        "What is the boiling point of water in Kelvin?",
    ),
    ("Which vaccines do I need for Kenya?", "Which vaccines do I need for Brazil?"),
    ("How do I export a table to CSV in R?", "How do I import a table from CSV in R?"),
    ("Is it safe to eat raw eggs?", "Is it safe to eat raw oysters?"),
    ("List the 3 largest moons", "List the 8 largest moons"),
    ("Should I lease or buy a car?", "Should I not lease or buy a car?"),
    ("Trains from Lyon to Paris", "Trains from Paris to Lyon"),
]
PARAPHRASES = [
    ("How can I cancel my gym membership?", "how do i cancel my gym membership"),
    ("What is the boiling point of water?", "Hi! What's the boiling point of water? Thanks"),
    ("In Rust, how do I read a file?", "How do I read a file in Rust?"),
    ("How do I fix a leaking tap?", "how do i fix a leeking tap"),
    ("What is the tallest building in the world?", "What's the tallest building in the world"),
]


def test_the_default_with_the_real_model(minilm: Embedder) -> None:
    """At the recommended threshold and floor, traps are refused and paraphrases are kept."""
    evaluator = default_evaluator(minilm)

    def served(a: str, b: str) -> bool:
        left, right = minilm.embed([a, b])
        scored = evaluate(evaluator, query(a), [candidate(b, float(left @ right))])[0]
        near = scored.candidate.similarity >= RECOMMENDED_FLOOR
        return near and not scored.score.rejected and scored.value >= RECOMMENDED_THRESHOLD

    assert [pair for pair in TRAPS if served(*pair)] == []
    assert [pair for pair in PARAPHRASES if not served(*pair)] == []


def test_the_default_keeps_what_its_parts_said(minilm: Embedder) -> None:
    """Guards first; a rejected candidate is not put before the verifier."""
    near = [candidate("the 12 best", 0.9), candidate("the 10 best", 0.95)]
    best, rejected = evaluate(default_evaluator(minilm), query("the 10 best"), near)
    assert [part.by for part in best.score.parts] == ["guards", "verifier"]
    assert [part.by for part in rejected.score.parts] == ["guards"]
    assert rejected.score.rejected
