"""Nothing tells a twin from the LLM it stands for."""

from __future__ import annotations

import ast
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import llama_index.core
import pytest
from llama_index.core import Settings
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.callbacks import CallbackManager, CBEventType, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMChatStartEvent
from llama_index.core.llms import LLM, ChatMessage, MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.llms.utils import resolve_llm
from llama_index.core.prompts import PromptTemplate
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI, OpenAIResponses
from llama_index_instrumentation.dispatcher import instrument_tags
from llamaindex_models import PlainLLM, Provider
from pydantic import BaseModel

from llamaindex_semcache import Asked, CacheHitEvent, SemanticCache, Turns, cached
from semcache_core.errors import ConfigError

QUESTION = [ChatMessage("How do I cancel my order?")]
SECRET = "sk-very-secret"


class City(BaseModel):
    """A city and where it is."""

    name: str
    country: str


CITY = City(name="Porto", country="Portugal")


def structured(body: dict[str, Any]) -> Any:
    """Answers in JSON, or with the call of the tool that is demanded."""
    return [("City", CITY.model_dump())] if body.get("tools") else CITY.model_dump_json()


def checked_classes() -> set[str]:
    """Every class that llama_index.core asks an LLM to be an instance of."""
    found = set()
    for file in Path(llama_index.core.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            is_check = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
            if is_check and "llm" in ast.unparse(node.args[0]).lower():
                found |= {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
    return found


def test_every_check_of_the_framework_holds(cache: Any, provider: Provider) -> None:
    """For each class that the framework checks an LLM against, the twin answers as the original."""
    known = {
        "BaseLLM": BaseLLM,
        "LLM": LLM,
        "FunctionCallingLLM": FunctionCallingLLM,
        "StructuredLLM": StructuredLLM,
        "str": str,
        "BaseModel": BaseModel,
    }
    foreign = {"BaseLanguageModel", "LangChainLLM", "MultiModalLLM", "LLMSingleSelector"}
    names = checked_classes()
    assert {"LLM", "FunctionCallingLLM", "StructuredLLM"} <= names
    assert names - foreign - {"PydanticSingleSelector"} <= set(known), names
    bare = [provider.openai(), provider.anthropic(), PlainLLM(), MockLLM()]
    bare.append(provider.openai().as_structured_llm(City))
    for llm in bare:
        twin = cached(llm, cache)
        assert all(isinstance(twin, known[n]) == isinstance(llm, known[n]) for n in known)
        assert isinstance(twin, type(llm))
        assert twin.class_name() == llm.class_name()
        assert twin.metadata == llm.metadata


def test_state_is_shared_both_ways(cache: Any, provider: Provider) -> None:
    """What is set on either is seen on both, private attributes too."""
    llm = provider.openai()
    twin = cached(llm, cache)
    twin.temperature = 0.7
    llm.system_prompt = "Be brief."
    manager = CallbackManager([])
    assert resolve_llm(twin, callback_manager=manager) is twin
    assert (llm.temperature, twin.system_prompt, llm.callback_manager) == (
        0.7,
        "Be brief.",
        manager,
    )
    assert twin._get_client() is llm._get_client()
    assert bool(twin)


def test_one_class_per_provider_class(cache: Any, provider: Provider) -> None:
    """Two twins of one class have the same class, whatever their caches."""
    with SemanticCache(embed_model=cache._parts.embedder) as other:
        llm = provider.openai()
        one, two = cached(llm, cache), cached(llm, other)
        assert type(one) is type(two)
        one.chat(QUESTION)
        two.chat(QUESTION)
    assert provider.calls == 2


def test_wrapping_twice(cache: Any, provider: Provider) -> None:
    """In the same cache once is enough; in another they are layers."""
    with SemanticCache(embed_model=cache._parts.embedder) as outer:
        twin = cached(cached(provider.openai(), cache), cache)
        layered = cached(twin, outer)
        layered.chat(QUESTION)
        layered.chat(QUESTION)
        assert (cache.stats().lookups, outer.stats().lookups, provider.calls) == (1, 2, 1)


def test_dumps_hold_no_secret(cache: Any, provider: Provider) -> None:
    """No form of dump, repr or entry holds the key, also when nested; the bare class's do."""
    llm = provider.openai(default_headers={"Authorization": SECRET})
    twin = cached(llm, cache)
    assert SECRET in json.dumps(llm.to_dict())
    nested = twin.as_structured_llm(City)
    dumps = [twin.to_dict(), twin.model_dump(), twin.dict(), nested.to_dict(), nested.model_dump()]
    texts = [twin.to_json(), twin.model_dump_json(), repr(twin), str(twin), repr(nested)]
    assert not any(SECRET in text for text in [*map(str, dumps), *texts])
    assert twin.to_dict()["class_name"] == "openai_llm"
    assert OpenAI.from_dict(twin.to_dict() | {"api_key": "new"}).model == "gpt-4o"
    twin.chat(QUESTION)
    [entry] = (
        list(cache._parts.store._record.entries())
        if hasattr(cache._parts.store, "_record")
        else [None]
    )
    assert entry is None or SECRET.encode() not in entry.payload


def test_copies_are_twins_of_copies(cache: Any, provider: Provider) -> None:
    """A copy has a state of its own and the same cache."""
    twin = cached(MockLLM(), cache)
    twin.complete("Name a river.")
    copies = [copy.copy(twin), copy.deepcopy(twin), pickle.loads(pickle.dumps(twin))]
    copies.append(twin.model_copy(update={"max_tokens": 3}))
    for made in copies:
        assert isinstance(made, MockLLM)
        assert type(made) is type(twin)
    copies[0].max_tokens = 2
    assert twin.max_tokens is None
    before = cache.stats().hits
    for made in copies[1:3]:
        made.complete("Name a river.")
    assert cache.stats().hits == before + 2
    copies[3].complete("Name a river.")
    assert cache.stats().hits == before + 2


def test_pickles_carry_no_cache(cache: Any) -> None:
    """Where the cache is not, a pickle is the bare LLM."""
    from llamaindex_semcache.twin import _pickled

    data = pickle.dumps(cached(MockLLM(), cache))
    _pickled.clear()
    assert type(pickle.loads(data)) is MockLLM


def test_bare_structured_llm_is_wrapped_inside(cache: Any, provider: Provider) -> None:
    """`cached(StructuredLLM)` is a StructuredLLM over a twin, and its objects are real."""
    provider.script = structured
    llm = cached(provider.openai().as_structured_llm(City), cache)
    assert isinstance(llm, StructuredLLM)
    for _ in range(2):
        assert llm.chat(QUESTION).raw == CITY
    assert provider.calls == 1


@pytest.mark.parametrize("name", ["openai json", "openai tools", "anthropic"])
async def test_structured_prediction(name: str, cache: Any) -> None:
    """All ways to an object, from one call, with the bare class's request."""
    bare, behind = Provider(structured), Provider(structured)

    def make(provider: Provider) -> Any:
        if name == "anthropic":
            return provider.anthropic()
        return provider.openai(model="gpt-4o" if name == "openai json" else "gpt-3.5-turbo")

    template = PromptTemplate("Where is the city of {query_str}?")
    args = {"query_str": "Porto wine"}
    assert make(bare).structured_predict(City, template, **args) == CITY
    llm = cached(make(behind), cache)
    assert llm.structured_predict(City, template, **args) == CITY
    assert behind.requests == bare.requests
    assert llm.structured_predict(City, template, **args) == CITY
    assert await llm.astructured_predict(City, template, **args) == CITY
    assert list(llm.stream_structured_predict(City, template, **args))[-1] == CITY
    stream = await llm.astream_structured_predict(City, template, **args)
    assert [partial async for partial in stream][-1] == CITY
    assert llm.as_structured_llm(City).chat([ChatMessage("Where is the city of Porto wine?")]).raw
    # With tools LlamaIndex's streams send another request: they do not demand the call.
    assert behind.calls == {"openai json": 2, "openai tools": 3, "anthropic": 2}[name]


async def test_structured_prediction_is_off_with_the_cache(cache: Any) -> None:
    """no_cache() holds for objects too, and another class is another answer."""
    from llamaindex_semcache import no_cache

    class Town(BaseModel):
        """As City, and other."""

        name: str
        country: str

    provider = Provider(structured)
    llm = cached(provider.anthropic(), cache)
    template = PromptTemplate("Where is {query_str}?")
    for kind in (City, City, Town):
        llm.structured_predict(kind, template, query_str="Porto")
    assert provider.calls == 2
    with no_cache():
        llm.structured_predict(City, template, query_str="Porto")
        await llm.astructured_predict(City, template, query_str="Porto")
    assert provider.calls == 4


def test_what_cannot_be_cached_is_refused(cache: Any, provider: Provider) -> None:
    """The error names the argument and what to do."""
    llm = provider.openai()
    for wrong, message in [
        (lambda: cached(llm, None), "cache: None was given"),
        (lambda: cached("gpt-4o", cache), "llm: a str was given"),
        (lambda: cached(llm, cache, contxt="set"), "unknown argument 'contxt'"),
        (lambda: cached(llm, cache, context="any"), "context: 'any'"),
        (lambda: cached(llm, cache, context="ignore"), "needs corpus="),
        (lambda: cached(llm, cache, conversation="x"), "conversation: 'x'"),
        (lambda: cached(llm, cache, prompt_types="text_qa"), "give a set"),
        (lambda: cached(llm, cache, question=[1]), "question: \\[1\\]"),
        (lambda: cached(llm, cache, ttl=0), "ttl: 0"),
    ]:
        with pytest.raises(ConfigError, match=message):
            wrong()
    stateful = OpenAIResponses(model="gpt-4o", api_key="x", track_previous_responses=True)
    with pytest.raises(ConfigError, match="track_previous_responses"):
        cached(stateful, cache)

    class MultiModalLLM:
        """The name of the interface that LlamaIndex left behind."""

    with pytest.raises(ConfigError, match="MultiModalLLM"):
        cached(MultiModalLLM(), cache)


class Seen(BaseEventHandler):
    """Remembers the events."""

    events: list[Any] = []  # noqa: RUF012  # pydantic copies it

    @classmethod
    def class_name(cls) -> str:
        return "Seen"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)


async def test_observers_see_misses_once_and_hits_as_hits(cache: Any, provider: Provider) -> None:
    """Token counters and LLM events count calls; a hit is an event of its own, tagged."""
    counter = TokenCountingHandler(tokenizer=str.split)
    Settings.callback_manager = CallbackManager([counter])
    llm = cached(provider.openai(), cache)
    Settings.llm = llm
    assert Settings.llm is llm
    seen = Seen()
    get_dispatcher().add_event_handler(seen)
    try:
        llm.chat(QUESTION)
        counted = counter.total_llm_token_count
        with instrument_tags({"step": "answer"}):
            llm.chat(QUESTION)
            list(llm.stream_chat(QUESTION))
            await llm.achat(QUESTION)
    finally:
        get_dispatcher().event_handlers.remove(seen)
    kinds = [type(event) for event in seen.events]
    assert (kinds.count(LLMChatStartEvent), kinds.count(LLMChatEndEvent)) == (1, 1)
    hits = [event for event in seen.events if isinstance(event, CacheHitEvent)]
    assert [hit.tags for hit in hits] == [{"semcache": "hit", "step": "answer"}] * 3
    assert hits[0].text.startswith("Answer to")
    assert hits[0].class_name() == "SemcacheHitEvent"
    assert counter.total_llm_token_count == counted > 0
    starts = [pair for pair in counter.llm_token_counts if pair.event_id]
    assert len(starts) == 1
    assert CBEventType.LLM


def test_tags_and_predicates_select(cache: Any, provider: Provider) -> None:
    """Only calls under the tags, or those that the callable admits, are cached."""
    bare = provider.openai()
    tagged = cached(bare, cache, tags={"step": "answer"})
    for _ in range(2):
        tagged.chat(QUESTION)
    assert provider.calls == 2
    with instrument_tags({"step": "answer", "user": 7}):
        for _ in range(2):
            tagged.chat(QUESTION)
    assert provider.calls == 3

    def admit(asked: Asked) -> bool:
        return "weather" not in str(asked.prompt) and asked.prompt_type is None

    choosy = cached(bare, cache, when=admit)
    for _ in range(2):
        choosy.chat([ChatMessage("What is the weather?")])
        choosy.complete("Name a river.")
    assert provider.calls == 6


def test_a_question_of_another_name(cache: Any, provider: Provider) -> None:
    """`question=` names the variable of the user's own template."""
    template = PromptTemplate("You sell books.\nCustomer asks: {customer_text}\nContext: {docs}")
    llm = cached(provider.openai(), cache, question="customer_text")
    llm.predict(template, customer_text="How do I cancel my order?", docs="d")
    llm.predict(template, customer_text="How can I cancel my order?", docs="d")
    assert provider.calls == 1
    llm.predict(template, customer_text="How can I cancel my order?", docs="e")
    assert provider.calls == 2


def test_system_prompts_and_parsers(cache: Any, provider: Provider) -> None:
    """The LLM's own system prompt is sent and is part of the scope."""
    template = PromptTemplate("Answer: {query_str}")
    llm = cached(provider.openai(system_prompt="Be brief."), cache)
    llm.predict(template, query_str="How do I cancel my order?")
    llm.predict(template, query_str="How can I cancel my order?")
    assert (provider.calls, b"Be brief." in provider.requests[0]) == (1, True)
    llm.system_prompt = "Be long."
    llm.predict(template, query_str="How do I cancel my order?")
    assert provider.calls == 2


def test_function_mappings_are_exact(cache: Any, provider: Provider) -> None:
    """A template whose variables are made by functions is never taken apart."""
    template = PromptTemplate(
        "Q: {query_str} {shout}", function_mappings={"shout": lambda **kw: kw["query_str"].upper()}
    )
    llm = cached(provider.openai(), cache)
    for text in ("How do I cancel my order?", "How can I cancel my order?"):
        llm.predict(template, query_str=text)
    assert provider.calls == 2


def test_turns_switched_off(cache: Any, provider: Provider) -> None:
    """A kind of turn that is off is passed through."""
    llm = cached(provider.openai(), cache, turns=Turns(question="off"))
    llm.chat(QUESTION)
    llm.chat(QUESTION)
    assert (provider.calls, cache.stats().lookups) == (2, 0)


def test_anthropic_is_anthropic(cache: Any, provider: Provider) -> None:
    """The twin of Anthropic's class passes its own checks."""
    twin = cached(provider.anthropic(), cache)
    assert isinstance(twin, Anthropic)
    assert twin.tokenizer is not None


def test_templates_of_completion_models(cache: Any) -> None:
    """A model without a chat interface: the question is found in its templates, too."""
    template = PromptTemplate("Context: {context_list}\nQuestion: {query_str}")
    llm = cached(PlainLLM(system_prompt="Be brief."), cache, context="set")
    llm.predict(template, query_str="How do I cancel my order?", context_list=["one", "two"])
    llm.predict(template, query_str="How can I cancel my order?", context_list=["two", "one"])
    assert llm.calls == 1
    assert "".join(
        llm.stream(template, query_str="How can I cancel my order?", context_list=["one", "two"])
    ).startswith("Plain answer")
    assert llm.calls == 1
    llm.predict(template, query_str="How can I cancel my order?", context_list=["two", "three"])
    assert llm.calls == 2
    llm.predict(PromptTemplate("Say something."), query_str="How do I cancel my order?")
    llm.predict(PromptTemplate("Say something."), query_str="What is the weather?")
    assert llm.calls == 3  # a question that the template does not show makes no difference


async def test_structured_prompts_without_the_system_prompt(cache: Any) -> None:
    """LlamaIndex leaves the system prompt out of some structured calls: the question is found."""
    provider = Provider(structured)
    llm = cached(provider.openai(model="gpt-3.5-turbo", system_prompt="Be brief."), cache)
    template = PromptTemplate("Where is {query_str}?")
    for _ in range(2):
        assert await llm.astructured_predict(City, template, query_str="Porto") == CITY
    assert provider.calls == 1
    json_llm = cached(provider.openai(system_prompt="Be brief."), cache)
    for text in ("the city of Porto", "Porto, the city"):
        json_llm.structured_predict(City, template, query_str=text)
    assert cache.stats().errors == {}
