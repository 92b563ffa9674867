"""Temperature, several answers, levels, sessions, and answers that are sent back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_models import AsyncStreaming, Counting, CountingLLM

import langchain_semcache
from langchain_semcache import SemanticCache, cached, rejecting, settings
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, MissingDependency

QUESTION = "what is your refund policy"
REWORDED = "What is your refund policy?"


def hit(message):
    return message.response_metadata.get("semcache")


def opened(**how):
    return SemanticCache(embedding=HashEmbedder(), threshold=0.8, **how)


# -- temperature and variety ---------------------------------------------------------------------


@pytest.mark.parametrize(("heat", "low", "high"), [(0.0, 0, 0), (1.0, 5, 50), (2.0, 99, 99)])
def test_a_hot_request_skips_the_cache(heat, low, high):
    """By GPTCache's rule; the model still gets its temperature."""
    with opened(temperature="skip") as cache:
        model = Counting(temperature=heat)
        twin = cached(model, cache)
        for _ in range(100):
            twin.invoke(QUESTION)
        assert low <= model.calls - 1 <= high
        assert model.calls - cache.stats().misses.get("skipped", 0) in (0, 1)


def test_a_hot_request_samples_among_candidates():
    """All acceptable ones are served in time; a cold one is served the best."""
    with opened(temperature="sample", seed=3) as cache:
        for heat, kinds in ((0.0, 1), (1.5, 2)):
            twin = cached(Counting(temperature=heat), cache)
            twin.invoke(QUESTION)
            cached(twin, cache, read=False).invoke("what is your own refund policy")
            served = {hit(twin.invoke(REWORDED))["id"] for _ in range(30)}
            assert len(served) == kinds


def test_several_answers_are_kept():
    """Asked anew until there are three; then one of them is served, in another order by seed."""
    orders = []
    for seed in (1, 2):
        with opened(answers=3, seed=seed) as cache:
            model = Counting()
            twin = cached(model, cache)
            fresh = [twin.invoke(QUESTION).content for _ in range(3)]
            assert model.calls == 3
            served = [twin.invoke(QUESTION).content for _ in range(20)]
            assert model.calls == 3
            assert set(served) == set(fresh)
            assert cache.stats().entries == 3
            assert hit(twin.invoke(REWORDED))["hit"] == "semantic"
            orders.append(served)
    assert orders[0] != orders[1]


def test_several_answers_to_an_exact_prompt():
    """They are probed by their keys."""
    with opened(answers=2) as cache:
        model = Counting()
        twin = cached(model, cache)
        answers = {twin.invoke("one\n\ntwo").content for _ in range(12)}
        assert (model.calls, len(answers)) == (2, 2)


def test_a_cold_request_needs_one_answer():
    """At temperature 0 there is nothing to vary."""
    with opened(answers=3) as cache:
        twin = cached(Counting(temperature=0.0), cache)
        twin.invoke(QUESTION)
        twin.invoke(QUESTION)
        assert twin.calls == 1


def test_refresh_replaces_all_answers():
    """What was kept for the prompt is gone."""
    with opened(answers=2) as cache:
        twin = cached(Counting(), cache)
        twin.invoke(QUESTION)
        twin.invoke(QUESTION)
        cached(twin, cache, read=False).invoke(QUESTION)
        assert cache.stats().entries == 1


def test_the_oldest_answer_makes_room(clock):
    """When there are as many as are kept, and another is stored."""
    with opened(answers=2, clock=clock) as cache:
        prompt = cache.prompt("json", None, QUESTION)
        from semcache_core.codecs import JSON

        for number in range(3):
            cache.save(prompt, number, JSON)
            clock.advance(1)
        assert {cache.find(prompt, JSON).answer for _ in range(20)} == {1, 2}


# -- sessions ------------------------------------------------------------------------------------


def test_a_session_is_not_served_what_it_has_seen():
    """Neither what it was served nor what it paid for; dropped, it starts anew."""
    with opened() as cache:
        model = Counting()
        ann = cached(model, cache, session="ann")
        ann.invoke(QUESTION)
        ann.invoke(QUESTION)
        assert model.calls == 2
        with settings(session="bob"):
            assert hit(cached(model, cache).invoke(QUESTION))
        assert cache.drop_session("ann")
        assert hit(ann.invoke(QUESTION))


# -- levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False], ids=["one embedder", "two embedders"])
def test_two_levels(same):
    """A miss fills both; a hit in the second fills the first."""
    embedder = HashEmbedder(256 if same else 128)
    with SemanticCache(embedding=embedder, threshold=0.8) as second:
        with opened(next_cache=second) as first:
            model = Counting()
            twin = cached(model, first)
            twin.invoke(QUESTION)
            assert (first.stats().entries, second.stats().entries) == (1, 1)
        with opened(next_cache=second) as first:
            twin = cached(model, first)
            assert hit(twin.invoke(REWORDED))["hit"] == "semantic"
            assert first.stats().entries == 1
            assert hit(twin.invoke(QUESTION))["hit"] == "exact"
            assert hit(twin.invoke(REWORDED))["hit"] == "semantic"
            assert second.stats().hits == 1
            assert model.calls == 1
            first.report_wrong(twin.invoke(REWORDED))
            assert hit(twin.invoke(REWORDED)) is None
            assert first.clear() >= 1
            assert second.stats().entries == 0


async def test_levels_on_the_event_loop():
    """Read-only, the first is not filled; deletion reaches both."""
    with opened() as second, opened(next_cache=second) as first:
        model = AsyncStreaming()
        await cached(model, second).ainvoke(QUESTION)
        reader = cached(model, first, write=False)
        found = await reader.ainvoke(QUESTION)
        assert hit(found)["hit"] == "exact"
        assert first.stats().entries == 0
        assert await first.adelete(hit(found)["id"]) == 0
        assert second.stats().entries == 0
        await cached(model, first).ainvoke(QUESTION)
        await first.aclear()
        assert (first.stats().entries, second.stats().entries) == (0, 0)


def test_a_first_level_that_cannot_store_still_serves(monkeypatch):
    """The hit of the second is what counts."""
    with opened() as second, opened(next_cache=second) as first:
        model = Counting()
        cached(model, second).invoke(QUESTION)

        def full(*args, **kwargs):
            raise OSError("disk full")

        monkeypatch.setattr(first._parts.store, "put", full)
        assert hit(cached(model, first).invoke(QUESTION))
        assert first.stats().not_stored == {"OSError": 1}


# -- sending answers back ------------------------------------------------------------------------


@pytest.fixture
def cache():
    with opened() as made:
        yield made


def test_a_reported_hit_is_not_served_again(cache):
    """An exact hit is deleted, a semantic hit's pair is blocked."""
    model = Counting()
    twin = cached(model, cache)
    twin.invoke(QUESTION)
    cache.report_wrong(twin.invoke(REWORDED))
    assert hit(twin.invoke(QUESTION))["hit"] == "exact"
    assert hit(twin.invoke(REWORDED)) is None
    cache.report_wrong(twin.invoke(QUESTION))
    assert hit(twin.invoke(QUESTION))["hit"] == "semantic"


async def test_anything_that_names_the_answer_can_be_reported(cache):
    """Messages, merged chunks, results, generations, marks, ids; fresh or served."""
    model = AsyncStreaming()
    twin = cached(model, cache)
    text = cached(CountingLLM(), cache)

    def merged(chunks):
        return sum(chunks[1:], chunks[0])

    for report in (
        lambda: twin.invoke(QUESTION),
        lambda: merged(list(twin.stream(QUESTION))),
        lambda: twin.invoke(QUESTION).response_metadata["semcache_id"],
        lambda: {"raw": twin.invoke(QUESTION), "parsed": None},
        lambda: ChatResult(generations=[ChatGeneration(message=twin.invoke(QUESTION))]),
        lambda: hit([twin.invoke(QUESTION), twin.invoke(QUESTION)][1]),
        lambda: twin.generate([[HumanMessage(QUESTION)]]).generations[0][0],
        lambda: LLMResult(generations=[[ChatGeneration(message=twin.invoke(QUESTION))]]),
        lambda: [text.generate(["name a river"]) for _ in range(2)][1],
    ):
        cache.report_wrong(report())
        assert cache.stats().entries == 0
    for nothing in (AIMessage("x"), 42, {"parsed": 1}):
        with pytest.raises(ConfigError, match="report_wrong"):
            cache.report_wrong(nothing)


def test_a_fresh_answer_of_the_global_cache_can_be_reported(cache):
    """It is known by its id, since it is not ours to mark."""
    model = Counting(cache=cache)
    answer = model.invoke(QUESTION)
    assert "semcache_id" not in answer.response_metadata
    cache.report_wrong(answer)
    assert cache.stats().entries == 0


def test_an_id_that_nobody_knows_is_told_of(cache, caplog):
    """Reporting it changes nothing, which its reporter should know."""
    cache.report_wrong("nonsense-id")
    assert "nonsense-id" in caplog.text


def test_a_tag_that_only_looks_like_ours_is_an_error(cache):
    """A misspelt tag would be served what it should not."""
    with pytest.raises(ConfigError, match="semcache:nocache"):
        cached(Counting(), cache).invoke(QUESTION, {"tags": ["semcache:nocache", "other"]})


def spoilt(number, messages):
    return AIMessage('{"broken": ' if number == 1 else '{"fine": 1}')


def strictly(message):
    return json.loads(message.content)


@pytest.mark.parametrize("sync", [True, False])
async def test_a_retry_recovers_from_an_unparseable_answer(sync, cache):
    """The answer that could not be parsed was stored, and is not served to the retry."""
    model = AsyncStreaming(reply=spoilt)
    chain = cached(model, cache) | rejecting(strictly, cache)
    chain = chain.with_retry(wait_exponential_jitter=False)
    for _ in range(2):
        assert (chain.invoke(QUESTION) if sync else await chain.ainvoke(QUESTION)) == {"fine": 1}
    assert model.calls == 2


def test_parsers_of_langchain_can_reject(cache):
    """Whatever is inside, a message goes in."""
    model = Counting(reply=lambda n, m: AIMessage("[1" if n == 1 else "[1]"))
    parser = StrOutputParser() | RunnableLambda(json.loads)
    chain = cached(model, cache) | rejecting(parser, cache)
    assert chain.with_retry(wait_exponential_jitter=False).invoke(QUESTION) == [1]


async def test_a_streamed_answer_is_sent_back_too(cache):
    """The parser fails in the middle or at the end of the stream."""

    def fail(chunks):
        for _ in chunks:
            pass
        raise ValueError("unparseable")
        yield

    async def afail(chunks):
        async for _ in chunks:
            pass
        raise ValueError("unparseable")
        yield

    from langchain_core.runnables import RunnableGenerator

    twin = cached(AsyncStreaming(), cache)
    chain = twin | rejecting(RunnableGenerator(fail, afail), cache)
    with pytest.raises(ValueError, match="unparseable"):
        list(chain.stream(QUESTION))
    assert cache.stats().entries == 0
    with pytest.raises(ValueError, match="unparseable"):
        _ = [piece async for piece in chain.astream(QUESTION)]
    assert cache.stats().entries == 0
    with pytest.raises(ValueError, match="unparseable"):
        rejecting(RunnableLambda(lambda x: list(fail([x]))), cache).invoke("no message")


def test_a_parser_must_be_one(cache):
    """The error says what to give."""
    with pytest.raises(ConfigError, match="parser"):
        rejecting(42, cache)


# -- the package ---------------------------------------------------------------------------------


def test_importing_needs_langchain_core_only():
    """The middleware alone needs `langchain`, and says so when it is missing."""
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "import langchain_semcache\n"
        "assert 'torch' not in sys.modules and 'chromadb' not in sys.modules\n"
        "try:\n    langchain_semcache.SemanticCacheMiddleware\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "llm-semcache[agents]" in done.stdout


def test_what_is_exported(monkeypatch):
    """Sorted, and all of it there."""
    assert sorted(langchain_semcache.__all__) == langchain_semcache.__all__
    for name in langchain_semcache.__all__:
        assert getattr(langchain_semcache, name)
    with pytest.raises(AttributeError):
        _ = langchain_semcache.nothing
    monkeypatch.setitem(sys.modules, "langchain_semcache.middleware", None)
    with pytest.raises(MissingDependency):
        _ = langchain_semcache.SemanticCacheMiddleware
