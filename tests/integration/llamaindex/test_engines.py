"""LlamaIndex's own engines over a cached LLM, cold then warm: the warm run asks nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex, VectorStoreIndex
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.indices.query.query_transform import (
    HyDEQueryTransform,
    StepDecomposeQueryTransform,
)
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.query_engine import (
    CitationQueryEngine,
    MultiStepQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool
from llamaindex_models import Provider
from pydantic import BaseModel

from llamaindex_semcache import cached, no_cache

FACTS = [
    "Orders can be cancelled within thirty minutes under Orders, then Cancel.",
    "A parcel to Spain costs nine euros and takes four working days.",
    "Invoices are sent by electronic mail on the first day of a month.",
    "A refund reaches the bank account within five working days.",
]
QUESTION = "How can an order be cancelled?"
MODES = ["compact", "refine", "tree_summarize", "simple_summarize", "accumulate"]
MODES += ["compact_accumulate", "generation"]


class City(BaseModel):
    """A city and where it is."""

    name: str
    country: str


def script(body: dict[str, Any]) -> Any:
    """Answers in the form that each kind of prompt asks for."""
    text = json.dumps(body["messages"])
    if body.get("tools"):
        return [("City", {"name": "Porto", "country": "Portugal"})]
    if body.get("response_format"):
        return '{"name": "Porto", "country": "Portugal"}'
    if "sub_question" in text and "tool_name" in text:
        items = [
            {"sub_question": "How can an order be cancelled?", "tool_name": "shop"},
            {"sub_question": "How long does a refund take?", "tool_name": "shop"},
        ]
        return "```json\n" + json.dumps({"items": items}) + "\n```"
    if "choice" in text and "reason" in text and "json" in text.lower():
        return '[{"choice": 1, "reason": "it fits"}]'
    if "Doc: 9, Relevance: 7" in text:
        return "Doc: 1, Relevance: 9\nDoc: 2, Relevance: 5\n"
    return f"Said number {len(text) % 97} on that."


@pytest.fixture
def provider() -> Provider:
    """A provider that can follow LlamaIndex's formats."""
    return Provider(script)


@pytest.fixture
def llm(provider: Provider, cache: Any) -> Any:
    """The real OpenAI class behind the cache."""
    return cached(provider.openai(), cache)


@pytest.fixture
def index() -> VectorStoreIndex:
    """A real index with a deterministic embedding."""
    documents = [Document(text=fact, doc_id=f"d{n}") for n, fact in enumerate(FACTS)]
    return VectorStoreIndex.from_documents(documents)


def sources(response: Any) -> list[str]:
    """What an answer is based on."""
    return [node.node.node_id for node in response.source_nodes]


def warm_equals_cold(provider: Provider, ask: Any) -> Any:
    """Ask twice: the same answer, with provider calls the first time only."""
    cold = ask()
    spent = provider.calls
    assert spent > 0
    warm = ask()
    assert provider.calls == spent, "the warm run asked the provider"
    assert str(warm) == str(cold)
    assert type(warm) is type(cold)
    return warm


@pytest.mark.parametrize("mode", MODES)
def test_response_modes(mode: str, provider: Provider, llm: Any, index: Any) -> None:
    """Every response mode of RetrieverQueryEngine."""
    engine = index.as_query_engine(llm=llm, response_mode=mode, similarity_top_k=3)
    warm_equals_cold(provider, lambda: engine.query(QUESTION))


@pytest.mark.parametrize("mode", MODES)
async def test_response_modes_async(mode: str, provider: Provider, llm: Any, index: Any) -> None:
    """The same on the event loop, after a synchronous cold run."""
    engine = index.as_query_engine(llm=llm, response_mode=mode, similarity_top_k=3)
    cold = engine.query(QUESTION)
    spent = provider.calls
    assert str(await engine.aquery(QUESTION)) == str(cold)
    assert provider.calls == spent


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
async def test_streaming_modes(mode: str, provider: Provider, llm: Any, index: Any) -> None:
    """Engines that stream: cold through the stream, warm through it, plain and on the loop."""
    engine = index.as_query_engine(llm=llm, response_mode=mode, streaming=True, similarity_top_k=3)
    cold = str(engine.query(QUESTION))
    spent = provider.calls
    assert str(engine.query(QUESTION)) == cold
    response = await engine.aquery(QUESTION)
    tokens = [token async for token in response.async_response_gen()]
    assert ("".join(tokens), provider.calls) == (cold, spent)
    assert len(tokens) > 1


def test_paraphrases_contexts_and_documents(provider: Provider, llm: Any, cache: Any) -> None:
    """Same context, paraphrase: hit. Another question: miss. A new document version: miss."""
    old = SummaryIndex.from_documents([Document(text=FACTS[0])])
    engine = old.as_query_engine(llm=llm)
    first = engine.query("How do I cancel my order?")
    assert str(engine.query("How can I cancel my order?")) == str(first)
    assert provider.calls == 1
    engine.query("What does a parcel to Spain cost?")
    assert provider.calls == 2
    new = SummaryIndex.from_documents([Document(text=FACTS[0].replace("thirty", "sixty"))])
    new.as_query_engine(llm=llm).query("How do I cancel my order?")
    assert provider.calls == 3
    assert cache.stats().semantic_hits == 1


async def test_paraphrases_through_streams_and_loops(provider: Provider, llm: Any) -> None:
    """The same rules when the engine streams and when it is awaited."""
    index = SummaryIndex.from_documents([Document(text=FACTS[0])])
    plain, streaming = (index.as_query_engine(llm=llm, streaming=s) for s in (False, True))
    first = str(plain.query("How do I cancel my order?"))
    assert str(streaming.query("How can I cancel my order?")) == first
    assert str(await plain.aquery("How can I cancel my order?")) == first
    assert provider.calls == 1
    str(streaming.query("What does a parcel to Spain cost?"))
    assert provider.calls == 2


def test_context_as_a_set_or_by_version(provider: Provider, cache: Any) -> None:
    """context="set" takes passages in any order; "ignore" any passages of one corpus version."""
    template_args = {"query_str": "How do I cancel my order?"}
    from llama_index.core.prompts.default_prompts import DEFAULT_TEXT_QA_PROMPT as QA

    bare = provider.openai()
    orders = ["one\n\ntwo", "two\n\none", "two\n\nthree"]
    for rules, calls in (
        ({}, 3),
        ({"context": "set"}, 2),
        ({"context": "ignore", "corpus": "v1"}, 1),
        ({"context": "ignore", "corpus": lambda: "v2"}, 1),
    ):
        before = provider.calls
        llm = cached(bare, cache, **rules)
        for context in orders:
            llm.predict(QA, context_str=context, **template_args)
        assert provider.calls - before == calls


def test_only_named_prompt_types(provider: Provider, cache: Any, index: Any) -> None:
    """A filter on "text_qa" caches the first answer and not its refinements."""
    llm = cached(provider.openai(), cache, prompt_types={"text_qa"})
    engine = index.as_query_engine(llm=llm, response_mode="refine", similarity_top_k=3)
    engine.query(QUESTION)
    assert provider.calls == 3
    engine.query(QUESTION)
    assert provider.calls == 5


def test_sub_questions(provider: Provider, llm: Any, index: Any) -> None:
    """SubQuestionQueryEngine: the questions, their answers, and the synthesis."""
    tool = QueryEngineTool.from_defaults(
        index.as_query_engine(llm=llm), name="shop", description="about the shop"
    )
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        response_synthesizer=get_response_synthesizer(llm=llm),
        use_async=False,
        verbose=False,
    )
    warm = warm_equals_cold(provider, lambda: engine.query("Cancelling and refunds?"))
    assert len(warm.source_nodes) >= 2


def test_router(provider: Provider, llm: Any, index: Any) -> None:
    """RouterQueryEngine with an LLM selector."""
    tools = [
        QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), description="the shop"),
        QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), description="the weather"),
    ]
    engine = RouterQueryEngine(
        selector=LLMSingleSelector.from_defaults(llm=llm), query_engine_tools=tools, llm=llm
    )
    warm_equals_cold(provider, lambda: engine.query(QUESTION))


def test_reranking(provider: Provider, llm: Any, index: Any) -> None:
    """LLMRerank: the judgement of passages and the answer from the best."""
    rerank = LLMRerank(llm=llm, top_n=2, choice_batch_size=4)
    engine = index.as_query_engine(llm=llm, similarity_top_k=4, node_postprocessors=[rerank])
    warm = warm_equals_cold(provider, lambda: engine.query(QUESTION))
    assert [node.score for node in warm.source_nodes] == [9.0, 5.0]


def test_hyde(provider: Provider, llm: Any, index: Any) -> None:
    """HyDE: the imagined document and the answer."""
    engine = TransformQueryEngine(
        index.as_query_engine(llm=llm), query_transform=HyDEQueryTransform(llm=llm)
    )
    warm_equals_cold(provider, lambda: engine.query(QUESTION))


def test_fusion_steps_and_citations(provider: Provider, llm: Any, index: Any) -> None:
    """QueryFusionRetriever, MultiStepQueryEngine and CitationQueryEngine."""
    fusion = QueryFusionRetriever([index.as_retriever()], llm=llm, num_queries=3, use_async=False)
    spent = [(fusion.retrieve(QUESTION), provider.calls)[1] for _ in range(2)]
    assert spent == [1, 1]
    steps = MultiStepQueryEngine(
        index.as_query_engine(llm=llm),
        query_transform=StepDecomposeQueryTransform(llm=llm),
        num_steps=2,
        index_summary="a shop",
        response_synthesizer=get_response_synthesizer(llm=llm),
    )
    warm_equals_cold(provider, lambda: steps.query(QUESTION))
    citing = CitationQueryEngine.from_args(index, llm=llm)
    warm_equals_cold(provider, lambda: citing.query(QUESTION))


def chat_engines(index: Any, llm: Any) -> dict[str, Any]:
    """A fresh engine of each kind, with an empty memory."""
    retriever = index.as_retriever(similarity_top_k=2)
    memory = ChatMemoryBuffer.from_defaults(token_limit=4000)
    return {
        "simple": lambda: SimpleChatEngine.from_defaults(llm=llm, memory=memory),
        "context": lambda: ContextChatEngine.from_defaults(
            retriever=retriever, llm=llm, memory=memory
        ),
        "condense question": lambda: CondenseQuestionChatEngine.from_defaults(
            query_engine=index.as_query_engine(llm=llm), llm=llm, memory=memory
        ),
        "condense plus context": lambda: CondensePlusContextChatEngine.from_defaults(
            retriever=retriever, llm=llm, memory=memory
        ),
    }


KINDS = ["simple", "context", "condense question", "condense plus context"]
TALK = ["How can an order be cancelled?", "And what does a refund take?"]


@pytest.mark.parametrize("kind", KINDS)
async def test_chat_engines(kind: str, provider: Provider, llm: Any, index: Any) -> None:
    """A conversation of two turns, cold; then again by chat, stream and on the event loop."""

    def talk() -> list[str]:
        engine = chat_engines(index, llm)[kind]()
        return [engine.chat(turn).response for turn in TALK]

    def stream() -> list[str]:
        engine = chat_engines(index, llm)[kind]()
        return ["".join(engine.stream_chat(turn).response_gen) for turn in TALK]

    async def atalk() -> list[str]:
        engine = chat_engines(index, llm)[kind]()
        return [(await engine.achat(turn)).response for turn in TALK]

    async def astream() -> list[str]:
        engine = chat_engines(index, llm)[kind]()
        said = []
        for turn in TALK:
            response = await engine.astream_chat(turn)
            said.append("".join([token async for token in response.async_response_gen()]))
        return said

    cold = talk()
    spent = provider.calls
    assert spent >= 2
    assert talk() == cold
    assert [text.strip() for text in stream()] == cold
    assert await atalk() == cold
    assert [text.strip() for text in await astream()] == cold
    assert provider.calls == spent


def test_selective_by_component(provider: Provider, cache: Any, index: Any) -> None:
    """A plain LLM for the reranker and a cached one for the answer: only the answer is saved."""
    rerank = LLMRerank(llm=provider.openai(), top_n=2, choice_batch_size=4)
    engine = index.as_query_engine(
        llm=cached(provider.openai(), cache), similarity_top_k=4, node_postprocessors=[rerank]
    )
    engine.query(QUESTION)
    assert provider.calls == 2
    engine.query(QUESTION)
    assert provider.calls == 3


async def test_no_cache_reaches_into_engines(provider: Provider, llm: Any, index: Any) -> None:
    """The switch holds through TreeSummarize's tasks and threads."""
    engine = index.as_query_engine(
        llm=llm, response_mode=ResponseMode.TREE_SUMMARIZE, use_async=True, similarity_top_k=3
    )
    await engine.aquery(QUESTION)
    spent = provider.calls
    with no_cache():
        await engine.aquery(QUESTION)
    assert provider.calls == 2 * spent
    await engine.aquery(QUESTION)
    assert provider.calls == 2 * spent
