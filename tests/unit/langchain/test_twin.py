"""`cached(model, cache)`: the twin is the model, and remembers."""

from __future__ import annotations

import copy
import gc
import pickle

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableParallel
from langchain_models import AsyncStreaming, Counting, CountingLLM, Streaming, StreamingLLM
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, create_model

from langchain_semcache import SemanticCache, Turns, cached, no_cache
from langchain_semcache.asker import original
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError

QUESTION = "How do I reset my password?"


@pytest.fixture
def model():
    return AsyncStreaming()


@pytest.fixture
def twin(model, cache):
    return cached(model, cache)


def semcache(message):
    return message.response_metadata.get("semcache")


async def all_the_ways(model, question=QUESTION):
    """The answers of one question, by every method that asks a chat model."""
    streamed = [chunk async for chunk in model.astream(question)]
    events = [event async for event in model.astream_events(question, version="v2")]
    return [
        model.invoke(question).content,
        (await model.ainvoke(question)).content,
        "".join(chunk.content for chunk in model.stream(question)),
        "".join(chunk.content for chunk in streamed),
        events[-1]["data"]["output"].content,
        *(answer.content for answer in model.batch([question])),
        *(answer.content for answer in await model.abatch([question])),
        model.generate([[HumanMessage(question)]]).generations[0][0].text,
        (await model.agenerate([[HumanMessage(question)]])).generations[0][0].text,
    ]


@pytest.mark.parametrize("kind", [Counting, Streaming, AsyncStreaming])
async def test_one_entry_for_all_the_ways_to_ask(kind, cache):
    """Whatever method stored the answer, each of them is served it."""
    model = kind()
    assert set(await all_the_ways(cached(model, cache))) == {f"1: {QUESTION}"}
    assert model.calls == 1


@pytest.mark.parametrize("first", ["invoke", "stream"])
def test_the_entry_is_that_of_the_global_cache_too(first, cache):
    """A plain model under `set_llm_cache` meets what the twin stored, and the reverse."""
    model = Streaming()
    set_llm_cache(cache)
    try:
        first_asked = getattr(cached(model, cache), first)(QUESTION)
        assert list(first_asked)
        assert semcache(model.invoke(QUESTION))["hit"] == "exact"
        model.invoke("Where is my order?")
        assert semcache(cached(model, cache).invoke("Where is my order?"))["hit"] == "exact"
    finally:
        set_llm_cache(None)
    assert model.calls == 2


def test_it_is_the_model_in_all_but_that(model, twin):
    """Type, name, serialisation, state and equality."""
    assert isinstance(twin, AsyncStreaming)
    assert type(twin).__name__ == "AsyncStreaming"
    assert twin.get_name() == model.get_name()
    assert twin == model
    assert model == twin
    assert twin != AsyncStreaming(model="other")
    assert twin.log is model.log
    assert (twin.cache, model.cache) == (False, None)
    assert original(twin) == model
    assert type(original(twin)) is AsyncStreaming
    assert original(model) is model


def test_a_providers_twin_is_serialised_as_the_model(cache):
    """`dumps`, the string that identifies it, and LangSmith's parameters."""
    model = ChatOpenAI(model="gpt-4o", api_key="sk-secret")
    twin = cached(model, cache)
    assert dumps(twin) == dumps(model)
    assert twin._get_llm_string() == model._get_llm_string()
    assert twin._get_ls_params() == model._get_ls_params()


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda twin: twin.model_copy()], ids=str
)
def test_copies_are_twins(again, twin):
    """They share the cache."""
    other = again(twin)
    assert other.invoke(QUESTION).content == f"1: {QUESTION}"
    assert semcache(twin.invoke(QUESTION))["hit"] == "exact"


def test_a_twins_twin_has_the_new_cache_only(twin, cache):
    """The old one is neither read nor written."""
    with SemanticCache(embedding=HashEmbedder()) as other:
        cached(twin, other).invoke(QUESTION)
        assert other.stats().entries == 1
    assert cache.stats().lookups == 0


def test_it_travels_to_other_processes(tmp_path, twin):
    """Pickled, with a cache that is opened anew on its path; one in memory cannot travel."""
    with SemanticCache(tmp_path, embedding=HashEmbedder()) as cache:
        here = cached(AsyncStreaming(), cache)
        here.invoke(QUESTION)
        there = pickle.loads(pickle.dumps(here))
        assert semcache(there.invoke(QUESTION))["hit"] == "exact"
        type(there).__semcache_twin__.cache.close()
    with pytest.raises(TypeError, match="give it a path"):
        pickle.dumps(twin)


def test_what_is_built_on_it_is_cached(twin, model):
    """Bindings, chains, retries, fallbacks, names: all end in the twin's leaves."""
    for built in (
        twin.bind(),
        twin.with_config(tags=["x"]),
        twin.with_retry(),
        twin.with_fallbacks([Counting(model="other")]),
        twin | StrOutputParser(),
        RunnableParallel(a=twin),
    ):
        built.invoke(QUESTION)
    assert model.calls == 1


def test_fields_can_be_configured(twin, model):
    """The configured model is a twin, and its parameters are part of the key."""
    field = ConfigurableField(id="temperature")
    configurable = twin.configurable_fields(temperature=field)
    configurable.invoke(QUESTION)
    hot = configurable.with_config(configurable={"temperature": 0.9})
    assert semcache(hot.invoke(QUESTION)) is None
    assert semcache(hot.invoke(QUESTION))["hit"] == "exact"
    assert semcache(configurable.invoke(QUESTION))["hit"] == "exact"


def test_bindings_are_rebound(cache):
    """`cached` of a binding twins the model inside it."""
    model = Streaming()
    bound = cached(model.bind(stop=["x"]), cache)
    assert bound.invoke(QUESTION).content == bound.invoke(QUESTION).content
    assert model.calls == 1


def test_a_hit_is_a_new_message_that_costs_nothing(twin):
    """Fresh ids, no usage for counters, the true usage in the mark."""
    counter = UsageMetadataCallbackHandler()
    first = twin.invoke(QUESTION, {"callbacks": [counter]})
    again = twin.invoke(QUESTION, {"callbacks": [counter]})
    list(twin.stream(QUESTION, {"callbacks": [counter]}))
    assert first.id != again.id
    assert again.usage_metadata["total_tokens"] == 0
    assert semcache(again)["usage"]["total_tokens"] == 15
    assert counter.usage_metadata["counting"]["total_tokens"] == 15


def test_tool_calls_of_a_hit_have_fresh_ids(cache):
    """In the calls and wherever the provider repeats them."""

    def reply(number, messages):
        return AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "given"}])

    twin = cached(Streaming(reply=reply), cache, turns=Turns(tool_calls="exact"))
    first, again = twin.invoke(QUESTION), twin.invoke(QUESTION)
    assert semcache(again)["hit"] == "exact"
    assert first.tool_calls[0]["id"] == "given"
    assert again.tool_calls[0]["id"] not in ("given", None)
    assert again.tool_calls[0]["args"] == {"x": 1}
    (joined,) = [c for c in twin.stream(QUESTION) if c.tool_call_chunks]
    assert joined.tool_calls[0]["args"] == {"x": 1}


def test_a_callers_change_reaches_nobody(twin):
    """Answers are decoded afresh, and the provider's own object is left alone."""
    first = twin.invoke(QUESTION)
    first.content = "poisoned"
    again = twin.invoke(QUESTION)
    again.response_metadata["x"] = 1
    again.content = "poisoned"
    third = twin.invoke(QUESTION)
    assert third.content == f"1: {QUESTION}"
    assert "x" not in third.response_metadata


class Limiter(BaseRateLimiter):
    """Counts who passes."""

    def __init__(self):
        self.passed = 0

    def acquire(self, *, blocking=True):
        self.passed += 1
        return True

    async def aacquire(self, *, blocking=True):
        return self.acquire()


async def test_the_rate_limiter_sees_misses_only(cache):
    """Whole answers and streams, sync and async."""
    limiter = Limiter()
    twin = cached(AsyncStreaming(rate_limiter=limiter), cache)
    for _ in range(2):
        twin.invoke("a b c")
        await twin.ainvoke("d e f")
        list(twin.stream("g h i"))
        _ = [chunk async for chunk in twin.astream("j k l")]
    assert limiter.passed == 4
    assert twin.rate_limiter is None


def test_there_is_no_second_lookup_in_the_global_cache(twin, model):
    """The twin reads `cache` as False."""
    elsewhere = InMemoryCache()
    set_llm_cache(elsewhere)
    try:
        twin.invoke(QUESTION)
    finally:
        set_llm_cache(None)
    assert elsewhere._cache == {}


def test_it_can_be_switched_off(twin, model, cache):
    """By its field, as on any model; a model made with `cache=False` is cached if asked to be."""
    off = twin.model_copy(update={"cache": False})
    off.invoke(QUESTION)
    off.invoke(QUESTION)
    assert model.calls == 2
    twin.rate_limiter = None
    twin.cache = False
    twin.invoke(QUESTION)
    assert model.calls == 3
    stubborn = Counting(cache=False)
    again = cached(stubborn, cache)
    again.invoke("x y")
    again.invoke("x y")
    assert len(again.log) == 1
    assert stubborn.cache is False


@pytest.mark.parametrize("kind", [CountingLLM, StreamingLLM])
async def test_plain_llms_have_twins_too(kind, cache):
    """`invoke`, `stream`, `batch` and `generate` of a text model share entries."""
    model = kind()
    twin = cached(model, cache)
    answer = twin.invoke("Name a river")
    assert await twin.ainvoke("Name a river") == answer
    assert "".join(twin.stream("Name a river")).strip() == answer
    assert "".join([piece async for piece in twin.astream("Name a river")]).strip() == answer
    result = twin.generate(["Name a river", "Name a city", "Name a city"])
    assert [g[0].text for g in result.generations][1:] == ["2: Name a city"] * 2
    assert (await twin.agenerate(["Name a hill"])).generations[0][0].text == "3: Name a hill"
    assert result.generations[0][0].generation_info["semcache"]["hit"] == "exact"
    assert len(model.log) == 3
    assert twin == model


async def test_a_text_stream_is_stored_at_its_end(cache):
    """And its tokens are announced once, fresh or not."""
    twin = cached(StreamingLLM(), cache)
    for _ in range(2):
        events = [e async for e in twin.astream_events("Name a river", version="v2")]
        assert sum(e["event"] == "on_llm_stream" for e in events) >= 1
    list(twin.stream("Name a river"))
    assert len(twin.log) == 1


def test_the_calls_arguments_are_part_of_a_text_models_key(cache):
    """LangChain's own key leaves them out."""
    twin = cached(CountingLLM(), cache)
    twin.invoke("Name a river")
    twin.invoke("Name a river", style="short")
    assert len(twin.log) == 2


def schema(**fields):
    return create_model("Answer", **{name: (kind, ...) for name, kind in fields.items()})


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_two_schemas_of_one_name_do_not_meet(method, cache):
    """And both are cached."""
    model = Counting(reply=lambda n, m: structured(n, method))
    twin = cached(model, cache)
    kinds = [schema(city=str), schema(city=str, land=str)]
    for kind in kinds * 2:
        bound = (
            twin.bind(response_format=kind)
            if method == "json_schema"
            else twin.bind_tools(
                [kind], tool_choice={"type": "function", "function": {"name": "Answer"}}
            )
        )
        bound.invoke("Where is the Louvre?")
    assert model.calls == 2


def structured(number, method):
    if method == "json_schema":
        return AIMessage('{"city": "Paris", "land": "France"}')
    answer = {"city": "Paris", "land": "France"}
    return AIMessage("", tool_calls=[{"name": "Answer", "args": answer, "id": "a"}])


class Weather(BaseModel):
    """Where and how warm."""

    city: str
    celsius: float


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_a_providers_structured_output(method, cache, monkeypatch):
    """The real ChatOpenAI class: parsed objects, fresh or not."""
    asked = []

    def generate(self, messages, stop=None, run_manager=None, **kwargs):
        asked.append(kwargs)
        args = {"city": "Paris", "celsius": 21.5}
        calls = [{"name": "Weather", "args": args, "id": "c1"}]
        by_call = method == "function_calling"
        message = (
            AIMessage("", tool_calls=calls)
            if by_call
            else AIMessage(
                '{"city": "Paris", "celsius": 21.5}', additional_kwargs={"parsed": Weather(**args)}
            )
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    monkeypatch.setattr(ChatOpenAI, "_generate", generate)
    twin = cached(ChatOpenAI(model="gpt-4o", api_key="sk-none"), cache)
    chain = twin.with_structured_output(Weather, method=method)
    answers = [chain.invoke("The weather in Paris?") for _ in range(3)]
    assert answers == [Weather(city="Paris", celsius=21.5)] * 3
    assert len(asked) == 1


def test_several_answers_round_trip(cache):
    """`n=2`: both come back; a stream of that prompt asks, since it can carry only one."""

    class Two(Streaming):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            one = super()._generate(messages)
            one.generations.append(one.generations[0].model_copy(deep=True))
            return one

    twin = cached(Two(), cache)
    messages = [[HumanMessage(QUESTION)]]
    assert len(twin.generate(messages).generations[0]) == 2
    assert len(twin.generate(messages).generations[0]) == 2
    assert len(twin.log) == 1
    list(twin.stream(QUESTION))
    assert len(twin.log) == 2


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (AIMessage(""), "empty answer"),
        (AIMessage("a", response_metadata={"finish_reason": "length"}), "cut short"),
        (
            AIMessage("a", response_metadata={"finish_reason": "content_filter"}),
            "filtered or refused",
        ),
        (AIMessage("a", additional_kwargs={"refusal": "no"}), "filtered or refused"),
        (AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), "tool calls"),
    ],
)
def test_unfit_answers_are_not_stored(message, why, cache):
    """Each with its reason in the statistics."""
    twin = cached(Counting(reply=lambda n, m: message.model_copy()), cache)
    twin.invoke(QUESTION)
    twin.invoke(QUESTION)
    assert len(twin.log) == 2
    assert cache.stats().not_stored == {why: 2}


def test_what_has_no_stable_form_is_not_cached(twin, model, caplog):
    """An object shown by its address, in the arguments or in a message."""
    twin.invoke(QUESTION, thing=object())
    twin.invoke(QUESTION, thing=object())
    assert model.calls == 2
    assert "no stable form" in caplog.text


def test_settings_of_a_twin(model, cache):
    """They hold for that twin only."""
    ann = cached(model, cache, session="ann")
    cached(model, cache).invoke(QUESTION)
    assert semcache(ann.invoke(QUESTION))["hit"] == "exact"
    assert semcache(ann.invoke(QUESTION)) is None


def test_no_cache_holds_where_it_is_written(twin, model):
    """A stream made inside the block is not cached although it is consumed outside."""
    with no_cache():
        twin.invoke(QUESTION)
        stream = twin.stream(QUESTION)
    list(stream)
    assert model.calls == 2
    twin.invoke(QUESTION)
    twin.invoke(QUESTION)
    assert model.calls == 3


@pytest.mark.parametrize("cache", [None, {}, "cache", InMemoryCache()])
def test_a_cache_must_be_ours(cache):
    """The error says what to give."""
    with pytest.raises(ConfigError, match="SemanticCache"):
        cached(Counting(), cache)


def test_a_model_must_be_one(cache):
    """A chain is refused: it is built on the twin."""
    with pytest.raises(ConfigError, match="chains and structured output"):
        cached(Counting() | StrOutputParser(), cache)
    with pytest.raises(ConfigError, match="colour"):
        cached(Counting(), cache, colour="red")


def test_a_twin_outlives_its_caches_class_lookup(cache):
    """One class for each kind, cache and setting, however often a twin is made."""
    kinds = {type(cached(Counting(), cache)) for _ in range(3)}
    assert len(kinds) == 1
    other = SemanticCache(embedding=cache._parts.embedder)
    assert type(cached(Counting(), other)) not in kinds
    other.close()


def test_twins_of_many_sessions_do_not_pile_up(cache):
    """Each has a class, and the classes of twins that are gone go, too."""

    class Own(Counting):
        """A class whose subclasses can be counted."""

    model, kept = Own(), cached(Own(), cache, session="first")
    kept.invoke("a b c")
    for number in range(400):
        cached(model, cache, session=str(number))
    gc.collect()
    assert len(Own.__subclasses__()) <= 300
    assert kept.invoke("a b c").text
    again = cached(model, cache, session="first")
    assert again == cached(model, cache, session="399")
