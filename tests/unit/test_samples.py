"""The questions that examples are made of, and the models that stand in for a provider's."""

from __future__ import annotations

from collections import Counter

import pytest
from langchain_core.messages import AIMessage

import langchain_semcache
import llamaindex_semcache
from langchain_semcache.testing import StandInChatModel
from llamaindex_semcache.testing import StandInLLM
from semcache_core import samples
from semcache_core.evaluators.distance import plain


def test_no_question_is_in_two_groups() -> None:
    """Else a hit on it could be right and wrong at once."""
    asked = [plain(one.text) for one in samples.questions()]
    assert len(asked) == len(set(asked)) > 100
    assert all(len(family) > 1 for family in samples.families().values())


def test_pairs_are_of_both_kinds() -> None:
    """A rephrasing is of one group, a near miss of two."""
    group = {one.text: one.group for one in samples.questions()}
    kinds = Counter(pair.kind for pair in samples.pairs())
    assert min(kinds.values()) > 50
    assert all((group[p.query] == group[p.stored]) == p.same for p in samples.pairs())


def test_traffic_is_the_same_for_a_seed_and_uneven() -> None:
    """Some groups are asked for often, others seldom."""
    arriving = samples.traffic(1_000, seed=1)
    assert arriving == samples.traffic(1_000, seed=1) != samples.traffic(1_000, seed=2)
    counts = Counter(one.group for one in arriving)
    assert counts.most_common()[0][1] > 5 * counts.most_common()[-1][1]


def test_a_chat_model_that_stands_in() -> None:
    """It counts, streams by words, calls tools if told to, and can be cached and bound."""
    model = StandInChatModel(reply=lambda messages: f"You said: {messages[-1].text}")
    with langchain_semcache.SemanticCache() as cache:
        twin = langchain_semcache.cached(model, cache)
        cold = "".join(chunk.text for chunk in twin.stream("How do I reset my password?"))
        assert twin.invoke("How can I reset my password?").text == cold
    assert (cold, model.calls) == ("You said: How do I reset my password?", 1)
    call = {"name": "look", "args": {}, "id": "1", "type": "tool_call"}
    caller = StandInChatModel(reply=lambda messages: AIMessage("", tool_calls=[call]))
    assert caller.bind_tools([{"name": "look", "description": "Look."}]).invoke("x").tool_calls
    first, *others = caller.stream("x")
    assert sum(others, first).tool_calls
    assert StandInChatModel().invoke("Who is Ann?").text == "1: Who is Ann?"


@pytest.mark.parametrize("prompt", ["Who is Ann?", "Context: x\nWho is Ann?\n"])
def test_an_llm_that_stands_in(prompt: str) -> None:
    """As above, for LlamaIndex; chat and completion alike."""
    llm = StandInLLM()
    with llamaindex_semcache.SemanticCache() as cache:
        twin = llamaindex_semcache.cached(llm, cache)
        cold = "".join(chunk.delta for chunk in twin.stream_complete(prompt))
        assert (twin.complete(prompt).text, cold) == ("1: Who is Ann?", "1: Who is Ann?")
    assert llm.calls == 1
    assert StandInLLM(reply=str.upper).complete("yes").text == "YES"


def test_what_an_llm_was_asked_last_in_a_chat() -> None:
    """LlamaIndex ends a chat's text with the name of who is to speak."""
    from llama_index.core.base.llms.types import ChatMessage

    answer = StandInLLM().chat([ChatMessage(role="user", content="Who is Ann?")])
    assert answer.message.content == "1: Who is Ann?"
