"""The same words at another point of another conversation: real dialogues, real embeddings."""

from __future__ import annotations

import os
from collections import defaultdict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_models import Counting

from langchain_semcache import SemanticCache, cached

if not os.environ.get("SEMCACHE_DATA"):
    pytest.skip("SEMCACHE_DATA names no folder with the data sets", allow_module_level=True)

from benchmarks.questions import read

pytestmark = pytest.mark.slow


def repeats(most):
    """Turns of CANARD whose text occurs with several histories, as lists of messages."""
    by_text = defaultdict(dict)
    for row in read("canard_half"):
        by_text[row["question"]].setdefault(tuple(row["history"]), row)
    rows = [row for same in by_text.values() if len(same) > 1 for row in same.values()]
    kinds = HumanMessage, AIMessage
    return [
        [kinds[i % 2](text) for i, text in enumerate([*row["history"], row["question"]])]
        for row in rows[:most]
    ]


def test_a_repeat_with_another_history_never_hits(minilm):
    """Of the turns that repeat word for word with another history none is answered from it."""
    turns = [[*turn[:-1], HumanMessage(turn[-1].content)] for turn in repeats(300)]
    assert len(turns) > 100
    model = Counting()
    with SemanticCache(embedding=minilm) as cache:
        twin = cached(model, cache)
        for turn in turns:
            twin.invoke(turn)
        assert model.calls == len(turns)
        assert cache.stats().hits == 0
        twin.invoke(turns[0])
        assert cache.stats().exact_hits == 1
