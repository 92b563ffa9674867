"""Where the cache stands aside: every method still reaches the model, as if there were no twin."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.outputs import GenerationChunk
from langchain_models import AsyncStreaming, Counting, CountingLLM, StreamingLLM

from langchain_semcache import SemanticCache, Turns, cached, cached_only
from langchain_semcache.events import _joined
from langchain_semcache.payload import unfit
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, OfflineMiss, UncacheableError
from semcache_core.singleflight import Landing

QUESTION = "what is your refund policy"


async def every_way(model):
    model.invoke(QUESTION)
    await model.ainvoke(QUESTION)
    list(model.stream(QUESTION))
    _ = [chunk async for chunk in model.astream(QUESTION)]


@pytest.mark.parametrize("kind", [AsyncStreaming, StreamingLLM])
@pytest.mark.parametrize("how", ["turns", "cache", "cacheable"])
async def test_four_ways_to_ask_are_four_calls(kind, how):
    """Switched off by the kind of turn, by the model's own field, by a predicate on the text."""
    core = {"cacheable": lambda text: "refund" not in text} if how == "cacheable" else {}
    with SemanticCache(embedding=HashEmbedder(), **core) as cache:
        turns = Turns(question="off") if how == "turns" else None
        twin = cached(kind(), cache, turns=turns)
        if how == "cache":
            twin = twin.model_copy(update={"cache": False})
        await every_way(twin)
        assert len(twin.log) == 4
        assert cache.stats().lookups == 0


async def test_the_global_seam_stands_aside_too():
    """Nothing is looked up or stored."""
    rule = {"cacheable": lambda text: False}
    with SemanticCache(embedding=HashEmbedder(), **rule) as cache:
        model = Counting(cache=cache)
        model.invoke(QUESTION)
        await model.ainvoke(QUESTION)
        assert model.calls == 2
        assert cache.stats().lookups == 0


def test_predicates_read_the_last_human_text():
    """Also where there is no question, or an answer was begun; one that fails means: not cached."""
    read = []

    def cacheable(text):
        read.append(text)
        return bool(1 / len(text))

    with SemanticCache(embedding=HashEmbedder(), cacheable=cacheable) as cache:
        twin = cached(Counting(), cache)
        twin.invoke("one\n\ntwo")
        twin.invoke([("human", "three"), ("ai", "and")])
        twin.invoke([("system", "rules")])
        cached(CountingLLM(), cache).invoke("four")
        assert read == ["one\n\ntwo", "three", "", "four"]
        assert cache.stats().not_stored == {"ZeroDivisionError": 1}
    with pytest.raises(ConfigError, match="cacheable"):
        SemanticCache(embedding=HashEmbedder(), cacheable="no")


@pytest.fixture
def cache():
    with SemanticCache(embedding=HashEmbedder(), threshold=0.8) as made:
        yield made


def test_a_react_step_is_for_exact_repeats(cache):
    """The agent's text is its state."""
    twin = cached(CountingLLM(), cache)
    step = "Question: who\nThought: look\nObservation: {}"
    for seen in ("a", "a", "b"):
        twin.invoke(step.format(seen))
    assert len(twin.log) == 2


def test_messages_that_are_not_plain(cache):
    """An integer beyond 64 bits has a form, only not a short one."""
    twin = cached(Counting(), cache)
    block = {"type": "text", "text": "x", "n": 2**70}
    for _ in range(2):
        twin.invoke([HumanMessage([block])])
    assert len(twin.log) == 1


class Tokens(BaseCallbackHandler):
    def __init__(self):
        self.told = []

    def on_llm_new_token(self, token, **kwargs):
        self.told.append(token)


class Announced(StreamingLLM):
    """Has leaves that name no run manager."""

    def _generate(self, prompts, stop=None, **kwargs):
        return super()._generate(prompts, stop)

    async def _agenerate(self, prompts, stop=None, **kwargs):
        return super()._generate(prompts, stop)

    async def _astream(self, prompt, stop=None, run_manager=None, **kwargs):
        for word in self._call(prompt).split(" "):
            yield GenerationChunk(text=word + " ")


async def test_text_tokens_are_announced_to_their_reader(cache):
    """By the twin, fresh or not, in sync and async; leaves are called as LangChain calls them."""
    twin = cached(Announced(), cache)
    for _ in range(2):
        tokens = Tokens()
        list(twin.stream("name a river", {"callbacks": [tokens]}))
        _ = [text async for text in twin.astream("name a hill", {"callbacks": [tokens]})]
        assert len(tokens.told) == 8
    assert twin.invoke("name a city") == await twin.ainvoke("name a city")
    await twin.ainvoke("name a lake")
    assert len(twin.log) == 4
    chunks = list(twin._stream("name a sea"))
    chunks += [chunk async for chunk in twin._astream("name a sea")]
    assert "".join(chunk.text for chunk in chunks).count("name a sea") == 2


class Bare(Counting):
    """Names no run manager either."""

    def _generate(self, messages, stop=None, **kwargs):
        return super()._generate(messages, stop)

    async def _agenerate(self, messages, stop=None, **kwargs):
        return super()._generate(messages, stop)


async def test_chat_leaves_without_a_run_manager(cache):
    """LangChain hands them none, and neither does the twin."""
    twin = cached(Bare(), cache)
    twin.invoke("a b c")
    await twin.ainvoke("d e f")
    assert [kwargs for _, kwargs in twin.log] == [{}, {}]


async def test_a_batch_waits_for_who_asks_already(cache):
    """A prompt in flight elsewhere is not asked for again by a list, unless it fails there."""
    model, misses = CountingLLM(), []
    twin = cached(model, cache)
    cached(model, cache, on_miss=misses.append, write=False).invoke("name a river")
    key = misses[0].prompt.key
    flight, leads = cache.flights.board(key)
    assert leads
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(twin.generate, ["name a river"])
        twin.invoke("name a city")
        flight.land(Landing.FAILED)
        assert waiting.result(10).generations[0][0].text.endswith("name a river")
    await asyncio.gather(*(twin.agenerate(["name a hill"]) for _ in range(2)))
    assert model.log.count("name a hill") == 1


def test_a_cached_only_plain_model_is_wrapped():
    """It has no settings of its own; the global cache sees the wrapper's."""
    with SemanticCache(embedding=HashEmbedder()) as cache:
        only = cached_only(Counting(cache=cache))
        with pytest.raises(OfflineMiss):
            only.invoke(QUESTION)


def test_copies_of_a_model_share_its_cache(cache):
    """Deep ones, too."""
    model = Counting(cache=cache).model_copy(deep=True)
    assert model.cache is cache
    assert copy.deepcopy(cache) is cache


def test_a_reported_fresh_answer_goes_whatever_place_it_has():
    """Of several answers to one prompt."""
    with SemanticCache(embedding=HashEmbedder(), answers=3) as cache:
        twin = cached(Counting(), cache)
        twin.invoke(QUESTION)
        cache.report_wrong(twin.invoke(QUESTION))
        assert cache.stats().entries == 0


def test_a_class_named_by_two_is_told_by_the_call(cache):
    """Where LangChain hands over a string alone, the callers' frames are asked."""
    from pydantic import create_model

    from langchain_semcache import llm_string

    kinds = [create_model("Twice", a=(int, ...)), create_model("Twice", b=(int, ...))]
    text = f"[('x', <class '{kinds[0].__module__}.Twice'>)]"
    with pytest.raises(UncacheableError, match="Twice"):
        llm_string.schemas(llm_string.read(text), text)


def test_events_that_make_no_answer():
    """An error amid them, or nothing: nothing is stored."""
    started = {"event": "message-start", "role": "ai", "id": "1"}
    with pytest.raises(ValueError, match="no message"):
        _joined([started, {"event": "error", "message": "broken"}])
    assert unfit(_joined([]).generations) == "empty answer"
