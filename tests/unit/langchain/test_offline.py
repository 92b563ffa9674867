"""Offline, no class of ours asks a model, whatever the reason that it is not cached."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.globals import set_llm_cache
from langchain_models import AsyncStreaming, Streaming, StreamingLLM

from langchain_semcache import (
    OfflineMiss,
    SemanticCache,
    SemanticCacheMiddleware,
    Turns,
    cached,
    no_cache,
    offline,
    uncached,
)
from semcache_core.embedders.testing import HashEmbedder

QUESTION = "what is your refund policy"
CACHES = {
    "turns": {"turns": Turns(question="off")},
    "namespace": {"namespace": lambda config: config["configurable"]["tenant"]},
    "when": {"when": lambda config: False},
    "cacheable": {"cacheable": lambda text: False},
    "miss": {},
}


@pytest.fixture(params=CACHES)
def aside(request):
    """Caches that have no answer, most of them since they stand aside."""
    with SemanticCache(embedding=HashEmbedder(), **CACHES[request.param]) as cache:
        yield cache


async def refused(model, *asked, **kwargs):
    """Every way to ask is an `OfflineMiss`."""
    asked = asked or (QUESTION,)
    with offline():
        with pytest.raises(OfflineMiss):
            model.invoke(*asked, **kwargs)
        with pytest.raises(OfflineMiss):
            await model.ainvoke(*asked, **kwargs)
        with pytest.raises(OfflineMiss):
            list(model.stream(*asked, **kwargs))
        with pytest.raises(OfflineMiss):
            _ = [chunk async for chunk in model.astream(*asked, **kwargs)]


@pytest.mark.parametrize("kind", [AsyncStreaming, StreamingLLM])
async def test_a_twin_never_asks(aside, kind):
    """Chat models and LLMs, in four ways."""
    model = kind()
    await refused(cached(model, aside))
    assert not model.log


@pytest.mark.parametrize("kind", [AsyncStreaming, StreamingLLM])
async def test_switching_off_inside_does_not_switch_the_model_on(cache, kind):
    """By a block, by a wrapper, by the model's own field, by an argument with no stable form."""
    model = kind()
    twin = cached(model, cache)
    with no_cache():
        await refused(twin)
    await refused(uncached(twin))
    await refused(twin.model_copy(update={"cache": False}))
    await refused(twin, handler=object())
    assert not model.log


async def test_uncached_twins_still_ask_when_nothing_forbids_it(cache):
    """Neither served nor stored."""
    model = AsyncStreaming()
    plain = uncached(cached(model, cache))
    plain.invoke(QUESTION)
    plain.invoke(QUESTION)
    assert model.calls == 2
    assert cache.stats().entries == 0


def test_an_agent_never_asks(aside):
    """The middleware twins its model."""
    model = Streaming()
    agent = create_agent(model, [], middleware=[SemanticCacheMiddleware(aside)])
    with offline(), pytest.raises(OfflineMiss):
        agent.invoke({"messages": [("human", QUESTION)]})
    assert not model.log


async def test_the_global_cache_refuses_where_langchain_asks_it(aside):
    """That is, for `invoke` and its kin; `stream` passes it by."""
    model = Streaming(cache=None)
    set_llm_cache(aside)
    try:
        with offline():
            with pytest.raises(OfflineMiss):
                model.invoke(QUESTION)
            with pytest.raises(OfflineMiss):
                await model.ainvoke(QUESTION)
    finally:
        set_llm_cache(None)
    assert not model.log


async def test_what_is_stored_is_served(cache):
    """Offline forbids asking, not answering; and explaining asks nobody."""
    model = AsyncStreaming()
    twin = cached(model, cache)
    twin.invoke(QUESTION)
    with offline():
        assert twin.invoke(QUESTION).text == (await twin.ainvoke(QUESTION)).text
        assert list(twin.stream(QUESTION))
        assert cache.explain(QUESTION, model=twin)
    assert model.calls == 1
