"""Arguments of evaluators that cannot work are named, and never come out as a TypeError."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from evaluator_values import candidate, query

from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, EvaluatorError
from semcache_core.evaluators import (
    BM25,
    CohereEvaluator,
    Cosine,
    CrossEncoderEvaluator,
    Exact,
    Guards,
    KReciprocal,
    SequenceMatch,
    Stage,
    TimeDecay,
    all_of,
    cascade,
    required,
    weighted,
)

NAN = float("nan")
WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: TimeDecay(half_life="7d"), "half_life='7d'"),
    (lambda: TimeDecay(max_age=NAN), "max_age=nan"),
    (lambda: BM25(k1="x"), "k1='x'"),
    (lambda: BM25(k1=NAN), "k1=nan"),
    (lambda: BM25(b=None), "b=None"),
    (lambda: BM25(remembered=0.5), "remembered=0.5"),
    (lambda: Guards(None), "guards=None"),
    (lambda: Guards([1]), r"guards=\[1\]"),
    (lambda: weighted([Cosine(), Exact()], ["a", 1]), "weights=.*'a'"),
    (lambda: weighted([Cosine()], "1"), "weights='1'"),
    (lambda: SequenceMatch(HashEmbedder(), weights="ab"), "weights='ab'"),
    (lambda: SequenceMatch(HashEmbedder(), weights=5), "weights=5"),
    (lambda: SequenceMatch(HashEmbedder(), worst="a"), "worst='a'"),
    (lambda: required(Cosine(), "a"), "minimum='a'"),
    (lambda: KReciprocal(lambda e, k: [], "2"), "k='2'"),
    (lambda: cascade(Cosine(), Exact()), r"give Stage\("),
    (lambda: cascade(Stage(Cosine(), "a"), Stage(Exact())), "low='a'"),
    (lambda: all_of(Cosine), "is a class"),
    (lambda: CrossEncoderEvaluator("m", grey_zone=0.5), "grey_zone=0.5"),
    (lambda: CohereEvaluator(api_key="k", timeout=-1), "timeout=-1"),
    (lambda: CohereEvaluator(api_key="k", timeout="a"), "timeout='a'"),
    (lambda: CohereEvaluator(api_key="k", retries=-1), "retries=-1"),
    (lambda: SemanticCache(evaluator=Cosine), r"evaluator: .*Cosine\(\)"),
]


@pytest.mark.parametrize(("make", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_wrong_argument_is_a_config_error_that_names_it(
    make: Callable[[], Any], says: str
) -> None:
    """With the value that was given."""
    with pytest.raises(ConfigError, match=says):
        make()


@pytest.mark.parametrize("relevance", [1.5, -0.1, NAN])
def test_a_relevance_that_is_none_is_no_score(relevance: float) -> None:
    """Cut to 1, a wrong number would be a certain hit; as an error it is a miss."""
    answer = SimpleNamespace(results=[SimpleNamespace(index=0, relevance_score=relevance)])
    client = SimpleNamespace(rerank=lambda **_: answer)
    with pytest.raises(EvaluatorError, match="relevance of"):
        CohereEvaluator(client=client).score(query("q"), [candidate("a", 0.9)])
