"""CachedQueryEngine: whole responses by the question, bound to a version of the documents."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import PydanticResponse, StreamingResponse
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool
from llama_index.core.vector_stores import SimpleVectorStore
from llamaindex_models import Provider
from pydantic import BaseModel

from llamaindex_semcache import CachedQueryEngine, CacheHitEvent, no_cache
from semcache_core.errors import ConfigError

FACTS = {
    "orders": "Orders can be cancelled within thirty minutes under Orders, then Cancel.",
    "spain": "A parcel to Spain costs nine euros and takes four working days.",
}
QUESTION, REWORDED = "How do I cancel my order?", "How can I cancel my order?"


class City(BaseModel):
    """A city and where it is."""

    name: str


def documents() -> list[Document]:
    """The corpus, with fixed ids."""
    return [Document(text=text, doc_id=name) for name, text in FACTS.items()]


@pytest.fixture
def index() -> VectorStoreIndex:
    """A real index in memory."""
    return VectorStoreIndex.from_documents(documents())


class Retrieving(BaseRetriever):
    """A user's own retriever, which counts in a field of its own."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self._inner = inner
        self.calls = 0

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self.calls += 1
        return self._inner.retrieve(query_bundle)


def test_a_paraphrase_saves_retrieval_and_synthesis(
    index: Any, provider: Provider, cache: Any
) -> None:
    """The response comes back whole, with its nodes, and neither part runs."""
    retriever = Retrieving(index.as_retriever())
    bare = RetrieverQueryEngine.from_args(retriever, llm=provider.openai())
    engine = CachedQueryEngine(bare, cache)
    cold = engine.query(QUESTION)
    warm = engine.query(REWORDED)
    assert (provider.calls, retriever.calls) == (1, 1)
    assert warm == cold
    assert [n.node.hash for n in warm.source_nodes] == [n.node.hash for n in cold.source_nodes]
    assert warm.semcache["hit"] == "semantic"
    assert engine.query("What does a parcel to Spain cost?") != cold
    assert provider.calls == 2
    cache.report_wrong(warm.semcache)
    engine.query(REWORDED)
    assert provider.calls == 3


async def test_on_the_event_loop_and_streamed(index: Any, provider: Provider, cache: Any) -> None:
    """The same when awaited; streams are replayed as streams, stored at their end only."""
    plain = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    cold = await plain.aquery(QUESTION)
    assert await plain.aquery(REWORDED) == cold == plain.query(QUESTION)
    assert provider.calls == 1
    streaming = CachedQueryEngine(
        index.as_query_engine(llm=provider.openai(), streaming=True), cache
    )
    gone = streaming.query(QUESTION)
    next(gone.response_gen)
    gone.response_gen.close()
    first = streaming.query(QUESTION)
    assert isinstance(first, StreamingResponse)
    text = str(first)
    assert provider.calls == 3
    again = streaming.query(REWORDED)
    assert (type(again), str(again), len(again.source_nodes)) == (StreamingResponse, text, 2)
    awaited = await streaming.aquery(REWORDED)
    assert "".join([token async for token in awaited.async_response_gen()]) == text
    assert provider.calls == 3
    other = await streaming.aquery("What does a parcel to Spain cost?")
    said = "".join([token async for token in other.async_response_gen()])
    assert str(streaming.query("What does a parcel to Spain cost?")) == said
    assert provider.calls == 4


CHANGES = {
    "insert": lambda index: index.insert(Document(text="Gifts are wrapped.", doc_id="gifts")),
    "delete": lambda index: index.delete_ref_doc("spain"),
    "delete nodes": lambda index: index.delete_nodes(list(index.index_struct.nodes_dict.values())),
    "update": lambda index: index.update_ref_doc(Document(text="Sixty.", doc_id="orders")),
    "refresh": lambda index: index.refresh_ref_docs([Document(text="Sixty.", doc_id="orders")]),
    "replace nodes": lambda index: index.insert_nodes([TextNode(text="x", id_="n")]),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_changes_through_the_index(change: str, index: Any, provider: Provider, cache: Any) -> None:
    """Every way of changing an index makes old answers unreachable."""
    engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    engine.query(QUESTION)
    engine.query(QUESTION)
    assert provider.calls == 1
    CHANGES[change](index)
    engine.query(QUESTION)
    assert cache.stats().hits == 1
    assert provider.calls == (1 if change == "delete nodes" else 2)  # of nothing, nobody is asked


async def test_asynchronous_changes(index: Any, provider: Provider, cache: Any) -> None:
    """The asynchronous methods of an index are watched as well."""
    engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    await engine.aquery(QUESTION)
    await index.ainsert(Document(text="Gifts are wrapped."))
    await engine.aquery(QUESTION)
    await index.adelete_ref_doc("spain")
    await engine.aquery(QUESTION)
    assert provider.calls == 3


def test_nothing_is_cached_while_the_index_changes(
    index: Any, provider: Provider, cache: Any
) -> None:
    """A query in the middle of a change is answered and not stored."""
    engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    inner = index.docstore.add_documents

    def add(*args: Any, **kwargs: Any) -> Any:
        engine.query(QUESTION)
        return inner(*args, **kwargs)

    index.docstore.add_documents = add
    index.insert(Document(text="Gifts are wrapped."))
    assert cache.stats().entries == 0
    assert provider.calls == 1


def test_the_same_documents_are_the_same_version(provider: Provider, cache: Any) -> None:
    """A rebuilt index of the same documents finds the old answers; a changed one does not."""
    llm = provider.openai()
    for kind in (VectorStoreIndex, VectorStoreIndex, SummaryIndex):
        engine = CachedQueryEngine(kind.from_documents(documents()).as_query_engine(llm=llm), cache)
        engine.query(QUESTION)
    assert provider.calls == 2


def test_nodes_that_only_a_vector_store_holds(provider: Provider, cache: Any) -> None:
    """Such an index has a version for this process, moved on by every change."""

    class Remote(SimpleVectorStore):
        """Keeps the texts itself, as Chroma and others do."""

        stores_text: bool = True

    store, nodes = Remote(), {}

    def query(asked: Any, **kwargs: Any) -> Any:
        from llama_index.core.vector_stores import VectorStoreQueryResult

        return VectorStoreQueryResult(
            nodes=list(nodes.values()), similarities=[1.0] * len(nodes), ids=list(nodes)
        )

    def add(added: Any, **kwargs: Any) -> list[str]:
        nodes.update({node.node_id: node for node in added})
        return [node.node_id for node in added]

    object.__setattr__(store, "query", query)
    object.__setattr__(store, "add", add)
    index = VectorStoreIndex.from_vector_store(store)
    index.insert(documents()[0])
    engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    engine.query(QUESTION)
    engine.query(QUESTION)
    assert provider.calls == 1
    index.insert(documents()[1])
    engine.query(QUESTION)
    assert provider.calls == 2


def test_engines_do_not_answer_for_one_another(index: Any, provider: Provider, cache: Any) -> None:
    """Another number of passages, prompt, model or user is another answer."""
    from llama_index.core.prompts import PromptTemplate

    llm = provider.openai()

    def ask(calls: int, **settings: Any) -> Any:
        exact = settings.pop("exact", None)
        engine = CachedQueryEngine(
            index.as_query_engine(**{"llm": llm, **settings}), cache, exact=exact
        )
        engine.query(QUESTION)
        assert provider.calls == calls
        return engine

    first = ask(1)
    ask(1)
    ask(2, similarity_top_k=1)
    ask(3, response_mode="simple_summarize")
    ask(4, llm=provider.openai(temperature=0.9))
    ask(5, exact="admin")
    ask(5, exact=lambda: "admin")
    first.update_prompts(
        {"response_synthesizer:text_qa_template": PromptTemplate("{context_str} {query_str}")}
    )
    first.query(QUESTION)
    assert provider.calls == 6
    assert set(first.get_prompts()) == set(first.engine.get_prompts())
    assert "response_synthesizer:text_qa_template" in first.get_prompts()


def test_bound_to_the_retrieved_nodes(index: Any, provider: Provider, cache: Any) -> None:
    """bind="nodes": retrieval runs each time, and the answer is served for the same nodes only."""
    retriever = Retrieving(index.as_retriever())
    bare = RetrieverQueryEngine.from_args(retriever, llm=provider.openai())
    engine = CachedQueryEngine(bare, cache, bind="nodes")
    engine.query(QUESTION)
    engine.query(REWORDED)
    assert (provider.calls, retriever.calls) == (1, 2)
    index.insert(Document(text="How do I cancel my order? With the button."))
    engine.query(QUESTION)
    assert provider.calls == 2


async def test_bound_to_nodes_on_the_event_loop(index: Any, provider: Provider, cache: Any) -> None:
    """The same awaited, and switched off."""
    engine = CachedQueryEngine(
        index.as_query_engine(llm=provider.openai()), cache, bind="nodes", ttl=60
    )
    cold = await engine.aquery(QUESTION)
    assert await engine.aquery(REWORDED) == cold
    with no_cache():
        await engine.aquery(QUESTION)
        engine.query(QUESTION)
    assert provider.calls == 3


def test_objects_and_events(index: Any, provider: Provider, cache: Any) -> None:
    """A structured response comes back as an object of its class; a hit is told."""
    from llama_index.core.instrumentation.event_handlers import BaseEventHandler

    class Heard(BaseEventHandler):
        """Remembers hits."""

        def handle(self, event: Any, **kwargs: Any) -> None:
            if isinstance(event, CacheHitEvent):
                heard.append(event)

    heard: list[Any] = []
    provider.script = lambda body: '{"name": "Porto"}'
    llm = provider.openai().as_structured_llm(City)
    engine = CachedQueryEngine(index.as_query_engine(llm=llm), cache)
    handler = Heard()
    get_dispatcher().add_event_handler(handler)
    try:
        cold, warm = engine.query(QUESTION), engine.query(REWORDED)
    finally:
        get_dispatcher().event_handlers.remove(handler)
    assert isinstance(warm, PydanticResponse)
    assert warm.response == cold.response == City(name="Porto")
    assert (provider.calls, [event.text for event in heard]) == (1, ['{"name":"Porto"}'])
    assert cache.stats().errors == {}


def test_composed_engines(index: Any, provider: Provider, cache: Any) -> None:
    """A router over two indices is bound to both, and the engine works as a tool."""
    provider.script = lambda body: (
        '[{"choice": 1, "reason": "fits"}]' if "choice" in str(body) else "An answer."
    )
    llm = provider.openai()
    second = SummaryIndex.from_documents(documents())
    tools = [
        QueryEngineTool.from_defaults(one.as_query_engine(llm=llm), description=f"number {n}")
        for n, one in enumerate([index, second])
    ]
    selector = LLMSingleSelector.from_defaults(llm=llm)
    router = RouterQueryEngine(selector=selector, query_engine_tools=tools, llm=llm)
    engine = CachedQueryEngine(router, cache)
    tool = QueryEngineTool.from_defaults(engine, name="shop", description="the shop")
    assert tool.call(QUESTION).content == tool.call(REWORDED).content
    assert provider.calls == 2
    second.insert(Document(text="Gifts are wrapped."))
    engine.query(QUESTION)
    assert provider.calls == 4


def test_empty_responses_are_not_stored(provider: Provider, cache: Any) -> None:
    """What LlamaIndex says when it found nothing is not kept: tomorrow it may."""
    index = VectorStoreIndex.from_documents([])
    engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    assert str(engine.query(QUESTION)) == "Empty Response"
    assert cache.stats().entries == 0


def test_versions_given_by_the_user(index: Any, provider: Provider, cache: Any) -> None:
    """A version, a callable, an index or several of them."""
    llm, version = provider.openai(), ["v1"]
    bare = index.as_query_engine(llm=llm)
    CachedQueryEngine(bare, cache, corpus="v1").query(QUESTION)
    by_call = CachedQueryEngine(bare, cache, corpus=lambda: version[0])
    by_call.query(QUESTION)
    assert provider.calls == 1
    version[0] = "v2"
    by_call.query(QUESTION)
    assert provider.calls == 2
    CachedQueryEngine(bare, cache, corpus=index).query(QUESTION)
    CachedQueryEngine(bare, cache, corpus=[index]).query(QUESTION)
    CachedQueryEngine(bare, cache).query(QUESTION)
    assert provider.calls == 3


def test_arguments_that_cannot_work(index: Any, provider: Provider, cache: Any) -> None:
    """The error names the argument and what to do."""
    bare = index.as_query_engine(llm=provider.openai())

    class Blind(BaseRetriever):
        """Where its nodes come from cannot be seen."""

        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            return []

    blind = RetrieverQueryEngine.from_args(Blind(), llm=provider.openai())
    router = RouterQueryEngine(
        selector=LLMSingleSelector.from_defaults(llm=provider.openai()),
        query_engine_tools=[QueryEngineTool.from_defaults(bare, description="x")],
        llm=provider.openai(),
    )
    for wrong, message in [
        (lambda: CachedQueryEngine("engine", cache), "engine: a str"),
        (lambda: CachedQueryEngine(bare, None), "cache: None"),
        (lambda: CachedQueryEngine(bare, cache, bind="x"), "bind: 'x'"),
        (lambda: CachedQueryEngine(router, cache, bind="nodes"), "bind: 'nodes' needs"),
        (lambda: CachedQueryEngine(bare, cache, ttl=-1), "ttl: -1"),
        (lambda: CachedQueryEngine(blind, cache), "corpus: the index behind Blind"),
        (lambda: CachedQueryEngine(bare, cache, corpus=[1]), "corpus: 1 was given"),
        (lambda: CachedQueryEngine(bare, cache, corpus=7), "corpus: 7 was given"),
    ]:
        with pytest.raises(ConfigError, match=message):
            wrong()


def test_delegates_the_rest(index: Any, provider: Provider, cache: Any) -> None:
    """What an engine can do besides being asked, the cached one can."""
    engine = CachedQueryEngine(index.as_query_engine(llm=provider.openai()), cache)
    nodes = engine.retrieve(QueryBundle(QUESTION))
    assert len(nodes) == 2
    assert str(engine.synthesize(QueryBundle(QUESTION), nodes)).startswith("Answer to")
    assert engine.retriever is engine.engine.retriever
    with pytest.raises(AttributeError):
        engine.no_such_thing  # noqa: B018  # the access is the test
