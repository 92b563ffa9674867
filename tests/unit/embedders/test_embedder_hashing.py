"""The embedder for tests that ships with the product."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError


def similarity(embedder: HashEmbedder, a: str, b: str) -> float:
    """Cosine of two texts."""
    x, y = embedder.embed([a, b])
    return float(x @ y)


def test_alike_texts_are_near() -> None:
    """A paraphrase is nearer than another question on the same matter, and that than any other."""
    embedder = HashEmbedder()
    question = "What is the capital of France?"
    paraphrase = similarity(embedder, question, "what's the capital city of France")
    other = similarity(embedder, question, "What is the population of Peru?")
    foreign = similarity(embedder, question, "bake bread at home")
    assert paraphrase > 0.8 > 0.5 > other > foreign
    assert similarity(embedder, question, question.upper()) == pytest.approx(1, abs=1e-6)


def test_synonyms_count_as_one_word() -> None:
    """With a table of synonyms two words are the same."""
    plain, told = HashEmbedder(), HashEmbedder(synonyms={"film": "movie"})
    assert similarity(told, "a good film", "a good movie") == pytest.approx(1, abs=1e-6)
    assert similarity(plain, "a good film", "a good movie") < 0.9


def test_given_vectors_are_used() -> None:
    """Texts with a vector of their own get it, normalised."""
    embedder = HashEmbedder(2, vectors={"east": [2, 0], "north": [0, 3.0]})
    np.testing.assert_allclose(embedder.embed(["east", "north"]), [[1, 0], [0, 1]])


def test_settings_are_in_the_identity() -> None:
    """Embedders whose vectors differ have different identities."""
    settings: list[dict[str, Any]] = [
        {},
        {"dimension": 128},
        {"synonyms": {"film": "movie"}},
        {"dimension": 2, "vectors": {"east": [1, 0]}},
        {"dimension": 2, "vectors": {"east": [0, 1]}},
    ]
    assert len({HashEmbedder(**each).identity for each in settings}) == len(settings)
    assert HashEmbedder().identity == HashEmbedder().identity


def test_other_processes_get_the_same() -> None:
    """Nothing depends on Python's random hash seed."""
    code = (
        "from semcache_core.embedders.testing import HashEmbedder as H;"
        "e = H(); print(e.identity, e.embed(['What is it?']).tobytes().hex())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    embedder = HashEmbedder()
    assert told == [embedder.identity, embedder.embed(["What is it?"]).tobytes().hex()]


@pytest.mark.parametrize("dimension", [2, 3])
def test_few_dimensions_cancel_nothing(dimension: int) -> None:
    """Even where features cancel each other, a vector is never zero."""
    rows = HashEmbedder(dimension).embed([f"text {n}" for n in range(300)])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dimension": 1}, "dimension: 1 was given"),
        ({"dimension": "many"}, "dimension: 'many'"),
        ({"dimension": 2, "vectors": {"a": [1, 2, 3]}}, "'a' has shape"),
        ({"dimension": 2, "vectors": {"a": [0, 0]}}, "not all zero"),
        ({"dimension": 2, "vectors": {"a": [float("nan"), 0]}}, "finite"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], said: str) -> None:
    """Arguments that cannot work raise and are named."""
    with pytest.raises(ConfigError, match=said):
        HashEmbedder(**settings)
