"""`explain` on LangChain's class: what a model's request would find, without making it."""

from __future__ import annotations

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_models import Counting, CountingLLM

from langchain_semcache import SemanticCache, Turns, cached
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, UncacheableError
from semcache_core.models import Reason

ASKED = "what is your refund policy"
REWORDED = "What is your refund policy?"


@pytest.fixture
def cache():
    with SemanticCache(embedding=HashEmbedder(), threshold=0.8) as made:
        yield made
    set_llm_cache(None)


def weather(city: str) -> str:
    """The weather of a city."""
    return city


@pytest.mark.parametrize("twinned", [True, False], ids=["twin", "plain"])
def test_a_models_request_is_explained(twinned, cache):
    """As the model would make it: text, messages, prompt values, bindings, call arguments."""
    model = Counting()
    asked = cached(model, cache) if twinned else model
    if not twinned:
        set_llm_cache(cache)
    asked.invoke(ASKED)
    before = cache.stats().lookups
    for form in (ASKED, [HumanMessage(ASKED)], ChatPromptTemplate([("human", ASKED)]).invoke({})):
        assert cache.explain(form, model=asked).outcome.reason is Reason.EXACT
    assert cache.explain(REWORDED, model=model).outcome.reason is Reason.SEMANTIC
    system = [SystemMessage("Be brief."), HumanMessage(ASKED)]
    assert not cache.explain(system, model=asked).outcome
    assert not cache.explain(ASKED, model=asked, stop=["."]).outcome
    assert not cache.explain(ASKED, model=asked.bind_tools([weather])).outcome
    assert not cache.explain(ASKED, model=Counting(model="other")).outcome
    assert (cache.stats().lookups, model.calls) == (before, 1)


def test_a_plain_llms_request(cache):
    """Its prompt is a text."""
    llm = cached(CountingLLM(), cache)
    llm.invoke(ASKED)
    assert cache.explain(ASKED, model=llm).outcome.reason is Reason.EXACT
    assert cache.explain(REWORDED, model=llm).outcome.reason is Reason.SEMANTIC


async def test_a_text_alone_is_asked_as_the_newest_request_was(cache):
    """Its model, system prompt and tools are taken over, and the explanation says so."""
    twin = cached(Counting(), cache)
    twin.invoke([SystemMessage("Be brief."), HumanMessage(ASKED)])
    told = cache.explain(REWORDED)
    assert told.outcome.reason is Reason.SEMANTIC
    assert "newest request" in str(told)
    assert (await cache.aexplain(ASKED)).outcome.reason is Reason.EXACT
    assert not cache.explain("where is my parcel").outcome
    prompt = told.survey.prompt
    assert cache.explain(prompt).survey.prompt == prompt


def test_another_tenants_request_is_not_taken_over():
    """A text alone is explained in the running tenant's namespace, or not at all."""
    tenants = SemanticCache(
        embedding=HashEmbedder(), namespace=lambda config: config["configurable"]["tenant"]
    )
    with tenants as cache:
        twin = cached(Counting(), cache)
        twin.invoke(ASKED, {"configurable": {"tenant": "ann"}})
        with pytest.raises(UncacheableError, match="namespace"):
            cache.explain(ASKED)


def test_before_any_request_a_text_is_read_as_get_reads_it(cache):
    """With a hint; with `exact` always."""
    cache.put(ASKED, "14 days", exact="shop")
    told = cache.explain(ASKED)
    assert not told.outcome
    assert "explain(question, model=model)" in str(told)
    cached(Counting(), cache).invoke(ASKED)
    assert cache.explain(ASKED, exact="shop").outcome.reason is Reason.EXACT


def test_what_cannot_be_explained(cache):
    """The error says what is missing, or that the request is not cached."""
    with pytest.raises(ConfigError, match="model=model"):
        cache.explain([HumanMessage(ASKED)])
    with pytest.raises(ConfigError, match="a str was given"):
        cache.explain(ASKED, model="gpt-4o")
    with pytest.raises(UncacheableError, match="not cached"):
        cache.explain(ASKED, model=cached(Counting(), cache, turns=Turns(question="off")))
    with pytest.raises(UncacheableError, match="not cached"):
        cache.explain(ASKED, model=Counting(cache=False))


def test_the_ids_of_hits(cache):
    """Fresh for each hit and of LangChain's form, also where LangChain itself gives none."""
    set_llm_cache(cache)
    model, twin = Counting(model="a"), cached(Counting(model="b"), cache)
    for asked in (model, twin):
        ids = [asked.invoke(ASKED).id for _ in range(3)]
        ids += [answer.id for answer in asked.batch([ASKED, REWORDED])]
        assert len(set(ids)) == 5
        assert all(one.startswith("lc_run--") for one in ids)
