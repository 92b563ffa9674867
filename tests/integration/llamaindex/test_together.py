"""One cache, and one file, for LangChain and LlamaIndex at once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration
from langchain_models import AsyncStreaming, Counting, CountingLLM, Streaming
from llama_index.core import Document, SummaryIndex
from llama_index.core.base.response.schema import Response
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse
from llamaindex_models import Provider

import langchain_semcache
import llamaindex_semcache
import semcache_core
from langchain_semcache import SemanticCacheMiddleware, rejecting
from llamaindex_semcache import CachedQueryEngine
from semcache_core import memoize
from semcache_core.codecs import codec_named, text_of
from semcache_core.errors import ConfigError

QUESTION = "How do I cancel my order?"
REWORDED = "How can I cancel my order?"
EMBEDDER = {
    semcache_core.SemanticCache: "embedder",
    langchain_semcache.SemanticCache: "embedding",
    llamaindex_semcache.SemanticCache: "embed_model",
}
any_class = pytest.mark.parametrize("kind", EMBEDDER, ids=["core", "langchain", "llamaindex"])


class Everything:
    """Every way into a cache, from both frameworks and neither; all are asked the same text."""

    def __init__(self, cache: Any, provider: Provider) -> None:
        self.model, self.text_model = AsyncStreaming(), CountingLLM()
        self.agents_model, self.computed = Streaming(), []
        self.chat = langchain_semcache.cached(self.model, cache)
        self.text = langchain_semcache.cached(self.text_model, cache)
        middleware = [SemanticCacheMiddleware(cache)]
        self.agent = create_agent(self.agents_model, system_prompt="Brief.", middleware=middleware)
        self.llm = llamaindex_semcache.cached(provider.openai(), cache)
        index = SummaryIndex.from_documents([Document(text="Under Orders.")])
        self.engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
        self.function = memoize(cache, ignore=["self"])(self._compute)
        self.provider = provider

    def _compute(self, question: str) -> str:
        self.computed.append(question)
        return f"computed: {question}"

    def ways(self) -> dict[str, Any]:
        """A name for each, a call of the text, and the type that must come out."""
        return {
            "invoke": (self.chat.invoke, AIMessage),
            "stream": (lambda text: [*self.chat.stream(text)][-1], AIMessageChunk),
            "plain model": (self.text.invoke, str),
            "agent": (self._agent_says, AIMessage),
            "chat": (lambda text: self.llm.chat([ChatMessage(text)]), ChatResponse),
            "complete": (self.llm.complete, CompletionResponse),
            "streamed": (lambda text: list(self.llm.stream_complete(text))[-1], CompletionResponse),
            "engine": (self.engine.query, Response),
            "function": (self.function, str),
        }

    def _agent_says(self, text: str) -> Any:
        return self.agent.invoke({"messages": [("human", text)]})["messages"][-1]

    def spent(self) -> Counter[str]:
        """Calls of each model."""
        return Counter(
            langchain=self.model.calls,
            text=len(self.text_model.log),
            agent=self.agents_model.calls,
            llamaindex=self.provider.calls,
            computed=len(self.computed),
        )


@any_class
def test_any_cache_serves_both_frameworks(kind: Any, provider: Provider, minilm: Any) -> None:
    """One object behind everything, the same text: everyone asks once, and gets its own type."""
    with kind(**{EMBEDDER[kind]: minilm}) as cache:
        every = Everything(cache, provider)
        for name, (ask, expected) in every.ways().items():
            assert isinstance(ask(QUESTION), expected), name
        cold = every.spent()
        assert cold == Counter(langchain=1, text=1, agent=1, llamaindex=3, computed=1)
        for text in (QUESTION, REWORDED):
            for name, (ask, expected) in every.ways().items():
                assert isinstance(ask(text), expected), (name, text)
        assert every.spent() == cold
        assert cache.stats().errors == {}


@any_class
def test_from_many_threads(kind: Any, provider: Provider, minilm: Any) -> None:
    """The same, from eight threads at once: types hold, and each kind of answer is paid once."""
    with kind(**{EMBEDDER[kind]: minilm}) as cache:
        every = Everything(cache, provider)
        every.engine.query("Warm up.")  # its version of the documents
        ways = [way for name, way in every.ways().items() if name not in ("stream", "streamed")]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda way: (way[0](QUESTION), way[1]), ways * 8))
        assert all(isinstance(answer, expected) for answer, expected in answers)
        expected = Counter(langchain=1, text=1, agent=1, llamaindex=4, computed=1)
        assert every.spent() == expected
        assert cache.stats().errors == {}


def test_three_objects_on_one_file(provider: Provider, minilm: Any, tmp_path: Path) -> None:
    """An object of each class: what one wrote serves the others, each in its own type."""
    opened = [kind(tmp_path, **{name: minilm}) for kind, name in EMBEDDER.items()]
    everyone = [Everything(cache, Provider()) for cache in opened]
    for ask, _ in everyone[0].ways().values():
        ask(QUESTION)
    for cache in opened:
        cache.flush()
    for every in everyone[1:]:
        for name, (ask, expected) in every.ways().items():
            assert isinstance(ask(QUESTION), expected), name
        assert every.spent() == Counter()
    for cache in opened:
        assert cache.stats().errors == {}
        cache.close()


@any_class
def test_a_wrong_answer_can_be_sent_back(kind: Any, provider: Provider, minilm: Any) -> None:
    """The mark of a served answer is enough for any cache; so is a parser that rejects."""
    with kind(**{EMBEDDER[kind]: minilm}) as cache:
        model = Counting()
        chat, llm = (
            langchain_semcache.cached(model, cache),
            llamaindex_semcache.cached(provider.openai(), cache),
        )
        for ask in (chat.invoke, lambda text: llm.chat([ChatMessage(text)])):
            ask(QUESTION)
            served = ask(QUESTION)
            place = getattr(served, "response_metadata", None) or served.additional_kwargs
            cache.report_wrong(place["semcache"])
            ask(QUESTION)
        assert (model.calls, provider.calls) == (2, 2)

        def parse(message: Any) -> Any:
            raise ValueError(message)

        chain = chat | rejecting(parse, cache)
        for _ in range(2):
            with pytest.raises(ValueError, match="cancel"):
                chain.invoke(QUESTION)
        assert model.calls == 3


def test_a_tenant_of_langchains_config_is_nobody_elsewhere(provider: Provider, minilm: Any) -> None:
    """A namespace read from LangChain's config cannot be named in LlamaIndex: no caching."""

    def tenant(config: Any) -> str:
        return str(config["configurable"]["tenant"])

    with langchain_semcache.SemanticCache(embedding=minilm, namespace=tenant) as cache:
        llm = llamaindex_semcache.cached(provider.openai(), cache)
        for _ in range(2):
            llm.complete(QUESTION)
        assert (provider.calls, cache.stats().entries) == (2, 0)


def test_what_is_no_cache_is_refused(provider: Provider) -> None:
    """Everywhere at once, and by name."""
    engine = SummaryIndex.from_documents([]).as_query_engine(llm=provider.openai())
    for make in (
        lambda: langchain_semcache.cached(Counting(), {}),
        lambda: SemanticCacheMiddleware({}),
        lambda: llamaindex_semcache.cached(provider.openai(), {}),
        lambda: CachedQueryEngine(engine, {}),
    ):
        with pytest.raises(ConfigError, match=r"cache: \{\} was given"):
            make()


def test_neither_is_handed_the_others_payload(provider: Provider, minilm: Any) -> None:
    """The same question through both: each finds its own answer, of its own kind."""
    with langchain_semcache.SemanticCache(embedding=minilm) as cache:
        chain = langchain_semcache.cached(Counting(), cache)
        llm = llamaindex_semcache.cached(provider.openai(), cache)
        for _ in range(2):
            assert isinstance(chain.invoke([HumanMessage(QUESTION)]), AIMessage)
            assert isinstance(llm.chat([ChatMessage(QUESTION)]), ChatResponse)
        assert (provider.calls, cache.stats().entries) == (1, 2)
        assert cache.stats().errors == {}
        assert cache.lookup(QUESTION, "some model") is None
        cache.update(QUESTION, "some model", [ChatGeneration(message=AIMessage("Yes."))])
        assert llm.complete(QUESTION).text.startswith("Answer to")


def test_one_file_for_both_at_once(provider: Provider, minilm: Any, tmp_path: Path) -> None:
    """Two cache objects on one path, used from two threads; both survive a reopening."""

    def use_langchain(cache: Any) -> None:
        model = langchain_semcache.cached(Counting(), cache)
        for n in range(20):
            model.invoke([HumanMessage(f"{QUESTION} Number {n}")])

    def use_llamaindex(cache: Any) -> None:
        llm = llamaindex_semcache.cached(provider.openai(), cache)
        for n in range(20):
            llm.chat([ChatMessage(f"{QUESTION} Number {n}")])

    with (
        langchain_semcache.SemanticCache(tmp_path, embedding=minilm) as one,
        llamaindex_semcache.SemanticCache(tmp_path, embed_model=minilm) as two,
    ):
        work = [
            threading.Thread(target=use_langchain, args=(one,)),
            threading.Thread(target=use_llamaindex, args=(two,)),
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert one.stats().errors == two.stats().errors == {}
    spent = provider.calls
    with llamaindex_semcache.SemanticCache(tmp_path, embed_model=minilm) as again:
        use_llamaindex(again)
        assert again.stats().entries == 40
    assert provider.calls == spent == 20


def test_the_command_line_can_read_them() -> None:
    """Each kind of answer is announced, so that the core can show its text."""
    from semcache_core.envelope import seal

    answer = ChatResponse(message=ChatMessage(role="assistant", content="Under Orders."))
    codec = codec_named("llamaindex.chat")
    assert text_of(seal(codec.name, codec.encode(answer))) == "Under Orders."
    names = ["llamaindex.completion", "llamaindex.object", "llamaindex.response"]
    assert [codec_named(name).name for name in names] == names
