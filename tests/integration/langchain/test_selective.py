"""Caching some nodes of a chain or graph and not others."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, TypedDict

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_models import AsyncStreaming, Counting
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from langchain_semcache import (
    SemanticCache,
    cached,
    cached_only,
    controlled,
    no_cache,
    offline,
    read_only,
    refresh,
    uncached,
)
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, OfflineMiss

PARTS = ["The sea is deep.", "The sky is high.", "The wood is dark."]


@pytest.fixture
def globally(cache):
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


# -- map-reduce ----------------------------------------------------------------------------------


def test_map_reduce_in_a_chain(cache):
    """On the second run the map makes no calls and the reduce makes one."""
    mapper, reducer = AsyncStreaming(model="map"), AsyncStreaming(model="reduce")
    summarise = ChatPromptTemplate.from_template("Summarise: {text}") | cached(mapper, cache)
    combine = ChatPromptTemplate.from_template("Combine: {texts}") | uncached(
        cached(reducer, cache)
    )
    chain = (
        RunnableLambda(lambda texts: [{"text": text} for text in texts])
        | (summarise | StrOutputParser()).map()
        | (lambda texts: {"texts": "; ".join(texts)})
        | combine
    )
    chain.invoke(PARTS)
    assert (mapper.calls, reducer.calls) == (3, 1)
    chain.invoke(PARTS)
    assert (mapper.calls, reducer.calls) == (3, 2)


def test_map_reduce_with_one_model_for_both(globally):
    """`uncached` goes around a whole step, too, and the global cache obeys it."""
    model = Counting()
    summarise = ChatPromptTemplate.from_template("Summarise: {text}") | model
    combine = uncached(ChatPromptTemplate.from_template("Combine: {texts}") | model)
    chain = (
        (summarise | StrOutputParser()).map()
        | (lambda texts: {"texts": "; ".join(texts)})
        | combine
    )
    inputs = [{"text": text} for text in PARTS]
    chain.invoke(inputs)
    assert model.calls == 4
    chain.invoke(inputs)
    assert model.calls == 5


class Summary(TypedDict):
    texts: list[str]
    parts: Annotated[list[str], operator.add]
    whole: str


class Part(TypedDict):
    text: str


@pytest.mark.parametrize("sync", [True, False])
async def test_map_reduce_in_a_graph(sync, cache):
    """The same with a node for each text, in sync and async."""
    mapper, reducer = AsyncStreaming(model="map"), AsyncStreaming(model="reduce")
    maps, reduces = cached(mapper, cache), cached(reducer, cache)

    def part(state: Part):
        return {"parts": [maps.invoke(f"Summarise: {state['text']}").content]}

    def whole(state: Summary):
        return {"whole": reduces.invoke("Combine: " + "; ".join(sorted(state["parts"]))).content}

    async def apart(state: Part):
        return {"parts": [(await maps.ainvoke(f"Summarise: {state['text']}")).content]}

    async def awhole(state: Summary):
        asked = "Combine: " + "; ".join(sorted(state["parts"]))
        return {"whole": (await reduces.ainvoke(asked)).content}

    builder = StateGraph(Summary)
    builder.add_node("part", part if sync else apart)
    builder.add_node("whole", uncached(whole if sync else awhole))
    fan = lambda state: [Send("part", {"text": text}) for text in state["texts"]]  # noqa: E731  # one use
    builder.add_conditional_edges(START, fan, ["part"])
    builder.add_edge("part", "whole").add_edge("whole", END)
    graph = builder.compile()
    state = {"texts": PARTS, "parts": [], "whole": ""}
    counts = []
    for _ in range(2):
        _ = graph.invoke(state) if sync else await graph.ainvoke(state)
        counts.append((mapper.calls, reducer.calls))
    assert counts == [(3, 1), (3, 2)]


# -- wrappers ------------------------------------------------------------------------------------


def test_an_uncached_model_is_a_model(cache, globally):
    """Its class, its methods; nothing is served or stored."""
    model = Counting()
    for off in (uncached(cached(model, cache)), uncached(model)):
        assert isinstance(off, Counting)
        off.bind_tools([]).invoke("x y z")
        off.invoke("x y z")
    assert model.calls == 4
    assert cache.stats().entries == 0


@pytest.mark.parametrize(
    "wrap", [uncached, lambda chain: controlled(chain, read=False, write=False)]
)
async def test_every_method_of_a_wrapped_runnable(wrap, cache):
    """invoke, batch, stream and their asynchronous forms."""
    model = AsyncStreaming()
    chain = wrap(cached(model, cache) | StrOutputParser())
    chain.invoke("a b")
    await chain.ainvoke("a b")
    chain.batch(["a b"])
    await chain.abatch(["a b"])
    list(chain.stream("a b"))
    _ = [piece async for piece in chain.astream("a b")]
    list((RunnableLambda(lambda x: x) | chain).stream("a b"))
    _ = [piece async for piece in (RunnableLambda(lambda x: x) | chain).astream("a b")]
    assert model.calls == 8
    assert cache.stats().entries == 0


def test_cached_only_serves_or_raises(cache):
    """And falls back to another model, if there is one."""
    large, small = Counting(model="large"), Counting(model="small")
    twin = cached(large, cache)
    only = cached_only(twin)
    with pytest.raises(OfflineMiss):
        only.invoke("a b")
    chain = only.with_fallbacks([small])
    assert chain.invoke("a b").content == "1: a b"
    assert (large.calls, small.calls) == (0, 1)
    twin.invoke("a b")
    assert chain.invoke("a b").response_metadata["semcache"]["hit"] == "exact"
    with pytest.raises(OfflineMiss):
        cached_only(twin | StrOutputParser()).invoke("c d")
    assert (large.calls, small.calls) == (1, 1)


async def test_functions_stay_functions(cache):
    """Sync ones sync, async ones async; what cannot be wrapped is refused."""
    model = AsyncStreaming()
    twin = cached(model, cache)

    def ask(text: str) -> str:
        return twin.invoke(text).content

    async def aask(text: str) -> str:
        return (await twin.ainvoke(text)).content

    assert uncached(ask).__name__ == "ask"
    assert asyncio.iscoroutinefunction(uncached(aask))
    uncached(ask)("a b")
    await uncached(aask)("a b")
    assert cache.stats().entries == 0

    def pieces(text):
        yield text

    with pytest.raises(ConfigError, match="generator"):
        uncached(pieces)
    with pytest.raises(ConfigError, match="runnable"):
        uncached(42)
    with pytest.raises(ConfigError, match="colour"):
        controlled(ask, colour="red")


# -- context managers ----------------------------------------------------------------------------


async def test_settings_travel(cache):
    """Into batches, parallel steps, tasks and graph nodes."""
    model = AsyncStreaming()
    twin = cached(model, cache)
    graph = StateGraph(dict).add_node("n", lambda state: {"a": twin.invoke("g h").content})
    graph = graph.add_edge(START, "n").compile()
    with no_cache():
        twin.batch(["a b", "a b"])
        RunnableParallel(one=twin, two=twin).invoke("c d")
        await asyncio.gather(twin.ainvoke("e f"), twin.ainvoke("e f"))
        graph.invoke({})
        await graph.ainvoke({})
    assert model.calls == 8
    assert cache.stats().entries == 0


def test_refresh_read_only_and_offline(cache):
    """Ask anew and overwrite; serve and store nothing; serve or raise."""
    model = Counting()
    twin = cached(model, cache)
    twin.invoke("a b")
    with refresh():
        assert twin.invoke("a b").content == "2: a b"
    with read_only():
        assert twin.invoke("a b").content == "2: a b"
        twin.invoke("c d")
    with offline():
        assert twin.invoke("a b").content == "2: a b"
        with pytest.raises(OfflineMiss):
            twin.invoke("c d")
    assert model.calls == 3
    assert cache.stats().entries == 1


# -- the run's config ----------------------------------------------------------------------------


def test_tags_of_the_run(cache):
    """On the call itself, on a binding, and on the chain around it."""
    model = Counting()
    twin = cached(model, cache)
    twin.invoke("a b", {"tags": ["semcache:no_cache"]})
    twin.with_config(tags=["semcache:no_cache"]).invoke("a b")
    (twin | StrOutputParser()).invoke("a b", {"tags": ["semcache:no_cache"]})
    assert model.calls == 3
    assert cache.stats().entries == 0
    twin.invoke("a b")
    twin.invoke("a b", {"tags": ["semcache:refresh", "mine"]})
    assert model.calls == 5
    with pytest.raises(OfflineMiss):
        list((twin | StrOutputParser()).stream("c d", {"tags": ["semcache:cached_only"]}))


def test_tags_reach_the_global_cache_inside_a_chain(globally):
    """LangChain shows a cache the config of the chain around the model."""
    model = Counting()
    chain = model | StrOutputParser()
    chain.invoke("a b", {"tags": ["semcache:no_cache"]})
    assert globally.stats().entries == 0
    chain.invoke("a b", {"tags": ["semcache:read_only"]})
    assert globally.stats().entries == 0
    chain.invoke("a b")
    assert globally.stats().entries == 1


async def test_settings_in_the_config(cache):
    """Sessions, callbacks and the rest; what cannot work is said."""
    model = AsyncStreaming()
    twin = cached(model, cache)
    hits, misses = [], []
    told = {"on_hit": hits.append, "on_miss": misses.append}
    config = {"configurable": {"semcache": {"session": "ann", **told}}}
    for _ in range(2):
        await twin.ainvoke("a b", config)
    assert model.calls == 2
    assert (len(hits), len(misses)) == (0, 2)
    assert twin.invoke("a b").response_metadata["semcache"]["hit"] == "exact"
    cache.drop_session("ann")
    assert [c async for c in twin.astream("a b", config)]
    assert (len(hits), len(misses)) == (1, 2)
    with pytest.raises(ConfigError, match="top_k"):
        twin.invoke("a b", {"configurable": {"semcache": {"top_k": 0}}})


def test_a_predicate_on_the_config():
    """Where it is false or fails, nothing is served or stored."""
    when = lambda config: config["metadata"]["cacheable"]  # noqa: E731  # one use
    with SemanticCache(embedding=HashEmbedder(), when=when) as cache:
        model = Counting()
        twin = cached(model, cache)
        for metadata in ({"cacheable": False}, {}, {"cacheable": True}, {"cacheable": True}):
            twin.invoke("a b", {"metadata": metadata})
        assert model.calls == 3
        assert cache.stats().entries == 1
    with pytest.raises(ConfigError, match="when"):
        SemanticCache(embedding=HashEmbedder(), when="always")


def test_the_tenant_of_a_direct_call():
    """A twin sees the config of its own call; without a tenant nothing is cached."""
    tenant = lambda config: config["configurable"]["tenant"]  # noqa: E731  # one use
    with SemanticCache(embedding=HashEmbedder(), namespace=tenant) as cache:
        model = Counting()
        twin = cached(model, cache)
        for name in ("ann", "ann", "bob"):
            twin.invoke("a b", {"configurable": {"tenant": name}})
        assert model.calls == 2
        twin.invoke("a b")
        twin.invoke("a b")
        assert model.calls == 4
        assert cache.stats().not_stored == {"UncacheableError": 2}
