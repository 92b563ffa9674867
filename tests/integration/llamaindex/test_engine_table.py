"""Every row of the table in docs/llamaindex.md: engines of LlamaIndex, cold, then warm in each way.

The warm runs ask the provider nothing, and what comes out is equal to what came out cold.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_index.core.chat_engine
import llama_index.core.query_engine
import pytest
from llama_index.core import (
    ComposableGraph,
    Document,
    Settings,
    SQLDatabase,
    SummaryIndex,
    VectorStoreIndex,
)
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.evaluation import GuidelineEvaluator, RelevancyEvaluator
from llama_index.core.indices.query.query_transform import (
    DecomposeQueryTransform,
    HyDEQueryTransform,
    StepDecomposeQueryTransform,
)
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.objects import ObjectIndex
from llama_index.core.postprocessor import LLMRerank, StructuredLLMRerank
from llama_index.core.query_engine import (
    CitationQueryEngine,
    FLAREInstructQueryEngine,
    MultiStepQueryEngine,
    NLSQLTableQueryEngine,
    RetrieverQueryEngine,
    RetryGuidelineQueryEngine,
    RetryQueryEngine,
    RetrySourceQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    ToolRetrieverRouterQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import (
    ResponseMode,
    TreeSummarize,
    get_response_synthesizer,
)
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.selectors import (
    LLMMultiSelector,
    LLMSingleSelector,
    PydanticMultiSelector,
    PydanticSingleSelector,
)
from llama_index.core.tools import QueryEngineTool
from llamaindex_models import Provider
from sqlalchemy import create_engine, text

from llamaindex_semcache import cached

PAGE = Path(__file__).parents[3] / "docs" / "llamaindex.md"
FACTS = [
    "Orders can be cancelled within thirty minutes under Orders, then Cancel.",
    "A parcel to Spain costs nine euros and takes four working days.",
    "Invoices are sent by electronic mail on the first day of a month.",
    "A refund reaches the bank account within five working days.",
]
QUESTION = "How can an order be cancelled?"
Build = Callable[[Any, Any, bool], Any]


def script(body: dict[str, Any]) -> Any:
    """Answers in the form that each kind of prompt asks for."""
    said = json.dumps(body["messages"])
    if body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        return [(name, _object(name))]
    if body.get("response_format"):
        return json.dumps(_object(body["response_format"]["json_schema"]["name"]))
    if "sub_question" in said and "tool_name" in said:
        items = [
            {"sub_question": "How can an order be cancelled?", "tool_name": "shop"},
            {"sub_question": "How long does a refund take?", "tool_name": "shop"},
        ]
        return "```json\n" + json.dumps({"items": items}) + "\n```"
    if "choice" in said and "reason" in said and "json" in said.lower():
        return '[{"choice": 1, "reason": "it fits"}]'
    if "Doc: 9, Relevance: 7" in said:
        return "Doc: 1, Relevance: 9\nDoc: 2, Relevance: 5\n"
    if "SQLQuery:" in said and "SQLResult:" not in said.rpartition("Question: ")[2]:
        return "SELECT city FROM parcels"
    if "Search API" in said:
        begun = "Existing Answer: \\nAnswer" in said
        return "It takes [Search(How long does a refund take?)]." if begun else "All said. done"
    if "guidelines" in said:
        return '{"passing": true, "feedback": "fine"}'
    if "Answer YES or NO" in said or "YES" in said:
        return "YES"
    return f"Said number {len(said) % 97} on that."


def _object(name: str) -> dict[str, Any]:
    if name == "DocumentRelevanceList":
        return {"documents": [{"document_number": n, "relevance": 9 - n} for n in (1, 2)]}
    if name == "MultiSelection":
        return {"selections": [{"index": n, "reason": "it fits"} for n in (0, 1)]}
    if name == "EvaluationData":
        return {"passing": True, "feedback": "fine"}
    return {"index": 0, "reason": "it fits"}


@pytest.fixture
def provider() -> Provider:
    """A provider that can follow LlamaIndex's formats."""
    return Provider(script)


@pytest.fixture
def llm(provider: Provider, cache: Any) -> Any:
    """The real OpenAI class behind the cache; it is LlamaIndex's default, too."""
    Settings.llm = cached(provider.openai(), cache)
    return Settings.llm


@pytest.fixture
def index() -> VectorStoreIndex:
    """A real index with a deterministic embedding."""
    documents = [Document(text=fact, doc_id=f"d{n}") for n, fact in enumerate(FACTS)]
    return VectorStoreIndex.from_documents(documents)


# -- query engines ---------------------------------------------------------------------------------


def tools(index: Any, llm: Any, streaming: bool = False) -> list[QueryEngineTool]:
    """Two engines to choose from."""
    made = [index.as_query_engine(llm=llm, streaming=streaming) for _ in range(2)]
    return [
        QueryEngineTool.from_defaults(engine, name=name, description=f"about the {name}")
        for engine, name in zip(made, ("shop", "weather"), strict=True)
    ]


def retriever_engine(mode: str) -> Build:
    """RetrieverQueryEngine in one response mode."""
    return lambda llm, index, streaming: RetrieverQueryEngine.from_args(
        index.as_retriever(similarity_top_k=3), llm=llm, response_mode=mode, streaming=streaming
    )


def processed(kind: Any, **how: Any) -> Build:
    """An engine with a postprocessor that asks a model."""
    return lambda llm, index, streaming: index.as_query_engine(
        llm=llm,
        similarity_top_k=4,
        streaming=streaming,
        node_postprocessors=[kind(llm=llm, top_n=2, choice_batch_size=4, **how)],
    )


def transformed(kind: Any, **metadata: Any) -> Build:
    """An engine whose question is rewritten by a model."""
    return lambda llm, index, streaming: TransformQueryEngine(
        index.as_query_engine(llm=llm, streaming=streaming),
        query_transform=kind(llm=llm),
        transform_metadata=metadata or None,
    )


def router(selector: Any) -> Build:
    """RouterQueryEngine with a selector that asks a model."""
    return lambda llm, index, streaming: RouterQueryEngine(
        selector=selector.from_defaults(llm=llm),
        query_engine_tools=tools(index, llm, streaming),
        llm=llm,
        summarizer=TreeSummarize(llm=llm),
    )


def sub_questions(llm: Any, index: Any, streaming: bool) -> Any:
    return SubQuestionQueryEngine.from_defaults(
        tools(index, llm)[:1],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        response_synthesizer=get_response_synthesizer(llm=llm, streaming=streaming),
        use_async=False,
        verbose=False,
    )


def steps(llm: Any, index: Any, streaming: bool) -> Any:
    return MultiStepQueryEngine(
        index.as_query_engine(llm=llm),
        query_transform=StepDecomposeQueryTransform(llm=llm),
        num_steps=2,
        index_summary="a shop",
        response_synthesizer=get_response_synthesizer(llm=llm, streaming=streaming),
    )


def fusion(llm: Any, index: Any, streaming: bool) -> Any:
    found = QueryFusionRetriever([index.as_retriever()], llm=llm, num_queries=3, use_async=False)
    return RetrieverQueryEngine.from_args(found, llm=llm, streaming=streaming)


def retrieved_tools(llm: Any, index: Any, streaming: bool) -> Any:
    objects = ObjectIndex.from_objects(tools(index, llm, streaming), index_cls=VectorStoreIndex)
    return ToolRetrieverRouterQueryEngine(
        objects.as_retriever(similarity_top_k=2), summarizer=TreeSummarize(llm=llm)
    )


def graph(llm: Any, index: Any, streaming: bool) -> Any:
    made = ComposableGraph.from_indices(SummaryIndex, [index], index_summaries=["a shop"], llm=llm)
    custom = {index.index_id: index.as_query_engine(llm=llm)}
    return made.as_query_engine(llm=llm, custom_query_engines=custom)


def retry(kind: Any, evaluator: Any) -> Build:
    """An engine whose answers a model judges."""
    return lambda llm, index, streaming: kind(index.as_query_engine(llm=llm), evaluator(llm=llm))


def retry_sources(llm: Any, index: Any, streaming: bool) -> Any:
    return RetrySourceQueryEngine(index.as_query_engine(llm=llm), RelevancyEvaluator(llm=llm), llm)


def flare(llm: Any, index: Any, streaming: bool) -> Any:
    return FLAREInstructQueryEngine(index.as_query_engine(llm=llm), llm=llm, verbose=False)


def sql(llm: Any, index: Any, streaming: bool) -> Any:
    database = create_engine("sqlite://")
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE parcels (city TEXT)"))
        connection.execute(text("INSERT INTO parcels VALUES ('Porto')"))
    return NLSQLTableQueryEngine(
        SQLDatabase(database), llm=llm, tables=["parcels"], streaming=streaming
    )


def citations(llm: Any, index: Any, streaming: bool) -> Any:
    return CitationQueryEngine.from_args(index, llm=llm, streaming=streaming)


STREAMED, WHOLE = True, False
ENGINES: dict[str, tuple[Build, bool]] = {
    **{
        f"RetrieverQueryEngine: {mode}": (retriever_engine(mode), streams)
        for mode, streams in {
            "compact": STREAMED,
            "refine": STREAMED,
            "tree_summarize": STREAMED,
            "simple_summarize": STREAMED,
            "generation": STREAMED,
            "accumulate": WHOLE,
            "compact_accumulate": WHOLE,
            "no_text": WHOLE,
            "context_only": WHOLE,
        }.items()
    },
    "SubQuestionQueryEngine, two sub-questions": (sub_questions, STREAMED),
    "RouterQueryEngine: LLMSingleSelector": (router(LLMSingleSelector), STREAMED),
    "RouterQueryEngine: LLMMultiSelector": (router(LLMMultiSelector), WHOLE),
    "RouterQueryEngine: PydanticSingleSelector": (router(PydanticSingleSelector), STREAMED),
    "RouterQueryEngine: PydanticMultiSelector": (router(PydanticMultiSelector), WHOLE),
    "ToolRetrieverRouterQueryEngine": (retrieved_tools, WHOLE),
    "LLMRerank and answer": (processed(LLMRerank), STREAMED),
    "StructuredLLMRerank and answer": (processed(StructuredLLMRerank), STREAMED),
    "HyDE and answer": (transformed(HyDEQueryTransform), STREAMED),
    "DecomposeQueryTransform and answer": (
        transformed(DecomposeQueryTransform, index_summary="a shop"),
        STREAMED,
    ),
    "QueryFusionRetriever and answer": (fusion, STREAMED),
    "CitationQueryEngine": (citations, STREAMED),
    "MultiStepQueryEngine, two steps": (steps, STREAMED),
    "RetryQueryEngine": (retry(RetryQueryEngine, RelevancyEvaluator), WHOLE),
    "RetrySourceQueryEngine": (retry_sources, WHOLE),
    "RetryGuidelineQueryEngine": (retry(RetryGuidelineQueryEngine, GuidelineEvaluator), WHOLE),
    "FLAREInstructQueryEngine": (flare, WHOLE),
    "NLSQLTableQueryEngine": (sql, STREAMED),
    "ComposableGraphQueryEngine": (graph, WHOLE),
}
ELSEWHERE = {
    "BaseQueryEngine": "abstract",
    "CustomQueryEngine": "the user's own",
    "CogniswitchQueryEngine": "a remote service",
    "KnowledgeGraphQueryEngine": "needs a graph store",
    "PandasQueryEngine": "left for llama-index-experimental",
    "JSONalyzeQueryEngine": "left for llama-index-experimental",
    "SimpleMultiModalQueryEngine": "needs a multi-modal model",
    "PGVectorSQLQueryEngine": "needs PostgreSQL; NLSQLTableQueryEngine with other prompts",
    "SQLTableRetrieverQueryEngine": "NLSQLTableQueryEngine with a retriever",
    "SQLJoinQueryEngine": "a selector and NLSQLTableQueryEngine",
    "SQLAutoVectorQueryEngine": "a selector and NLSQLTableQueryEngine",
    "RetrieverRouterQueryEngine": "deprecated for ToolRetrieverRouterQueryEngine",
    "TransformQueryEngine": "the rows HyDE and DecomposeQueryTransform",
    "MultiModalContextChatEngine": "needs a multi-modal index",
    "MultiModalCondensePlusContextChatEngine": "needs a multi-modal index",
}


@dataclass(frozen=True)
class Told:
    """What can be compared of a response."""

    kind: str
    said: str
    sources: tuple[tuple[str, float | None], ...]
    metadata: str


def told(response: Any, said: str) -> Told:
    """Without the random ids and addresses of what engines make on the way."""
    nodes = tuple((node.node.get_content(), node.score) for node in response.source_nodes)
    metadata = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+", "id", str(response.metadata))
    return Told(type(response).__name__, said, nodes, metadata)


def asked(engine: Any, streaming: bool) -> Told:
    """One question by the synchronous method, read to its end."""
    response = engine.query(QUESTION)
    if not streaming:
        return told(response, str(response))
    assert isinstance(response, StreamingResponse)
    tokens = list(response.response_gen)
    assert len(tokens) > 1, "a stream comes in parts"
    return told(response, "".join(tokens))


async def aasked(engine: Any, streaming: bool) -> Told:
    """The same on the event loop."""
    response = await engine.aquery(QUESTION)
    if not streaming:
        return told(response, str(response))
    if not isinstance(response, AsyncStreamingResponse):
        return told(response, str(response))
    tokens = [token async for token in response.async_response_gen()]
    return told(response, "".join(tokens))


ROW = re.compile(r"^\| (?P<name>[^|]+?) \| (?P<cold>\d+) \| (?P<warm>\d+) \| (?P<streams>\w*) \|$")


def rows() -> dict[str, tuple[int, int, bool]]:
    """The table of the page: calls cold, calls warm, whether it streams."""
    found = [ROW.match(line) for line in PAGE.read_text("utf-8").splitlines()]
    return {
        row["name"]: (int(row["cold"]), int(row["warm"]), row["streams"] == "yes")
        for row in found
        if row is not None
    }


@pytest.mark.parametrize("name", ENGINES)
async def test_query_engines(name: str, provider: Provider, llm: Any, index: Any) -> None:
    """Cold, then warm: whole, awaited, and streamed where it streams; equal, and nobody asked."""
    build, streams = ENGINES[name]
    cold, warm, documented = rows()[name]
    first = asked(build(llm, index, False), False)
    assert provider.calls == cold
    for engine in (build(llm, index, False), build(llm, index, False)):
        assert asked(engine, False) == first
        assert await aasked(engine, False) == first
    if streams:
        assert asked(build(llm, index, True), True).said.strip() == first.said.strip()
        assert (await aasked(build(llm, index, True), True)).said.strip() == first.said.strip()
    assert (provider.calls - cold, streams) == (warm, documented)


@pytest.mark.parametrize("name", [name for name, (_, streams) in ENGINES.items() if streams])
async def test_streaming_first(name: str, provider: Provider, llm: Any, index: Any) -> None:
    """Cold through the stream: what it stored serves streams, whole answers and the loop."""
    build = ENGINES[name][0]
    first = asked(build(llm, index, True), True)
    spent = provider.calls
    assert spent > 0
    assert asked(build(llm, index, True), True) == first
    assert (await aasked(build(llm, index, True), True)).said == first.said
    assert asked(build(llm, index, False), False).said.strip() == first.said.strip()
    assert provider.calls == spent


# -- chat engines ----------------------------------------------------------------------------------

TALK = ["How can an order be cancelled?", "And what does a refund take?"]
CHATS: dict[str, Any] = {
    "SimpleChatEngine, two turns": lambda llm, index, memory: SimpleChatEngine.from_defaults(
        llm=llm, memory=memory
    ),
    "ContextChatEngine, two turns": lambda llm, index, memory: ContextChatEngine.from_defaults(
        retriever=index.as_retriever(), llm=llm, memory=memory
    ),
    "CondenseQuestionChatEngine, two turns": lambda llm, index, memory: (
        CondenseQuestionChatEngine.from_defaults(
            query_engine=index.as_query_engine(llm=llm), llm=llm, memory=memory
        )
    ),
    "CondensePlusContextChatEngine, two turns": lambda llm, index, memory: (
        CondensePlusContextChatEngine.from_defaults(
            retriever=index.as_retriever(), llm=llm, memory=memory
        )
    ),
}


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("first", ["chat", "stream_chat", "achat", "astream_chat"])
async def test_chat_engines(
    name: str, first: str, provider: Provider, llm: Any, index: Any
) -> None:
    """A conversation of two turns in one way, then in all four; the calls are the table's."""

    async def talk(how: str) -> list[str]:
        engine = CHATS[name](llm, index, ChatMemoryBuffer.from_defaults(token_limit=4000))
        said = []
        for turn in TALK:
            response = getattr(engine, how)(turn)
            response = await response if how.startswith("a") else response
            if how == "stream_chat":
                said.append("".join(response.response_gen).strip())
            elif how == "astream_chat":
                parts = [token async for token in response.async_response_gen()]
                said.append("".join(parts).strip())
            else:
                said.append(response.response)
        return said

    cold, warm, streams = rows()[name]
    once = await talk(first)
    assert (provider.calls, streams) == (cold, True)
    for how in ("chat", "stream_chat", "achat", "astream_chat"):
        assert await talk(how) == once
    assert provider.calls == cold + warm


# -- the table -------------------------------------------------------------------------------------


def exported() -> Iterator[str]:
    """The names of all engines that LlamaIndex offers."""
    for module in (llama_index.core.query_engine, llama_index.core.chat_engine):
        for name in module.__all__:
            kind = getattr(module, name)
            if inspect.isclass(kind) and (
                name.endswith("ChatEngine") or issubclass(kind, BaseQueryEngine)
            ):
                yield name


def test_the_table_is_complete() -> None:
    """Every engine that LlamaIndex exports has a row, or a reason here; so has each mode."""
    named = set(re.findall(r"\w+", " ".join(rows())))
    assert set(exported()) - named == {name for name in exported() if name in ELSEWHERE}
    assert {mode.value for mode in ResponseMode} <= named
    agents = {"FunctionAgent", "ReActAgent", "CodeActAgent", "AgentWorkflow"}
    assert agents <= named
    assert set(ENGINES) | set(CHATS) <= set(rows())
