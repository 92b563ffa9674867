"""LlamaIndex's own engines over a cached LLM: what hits, what misses, and how to choose."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex, VectorStoreIndex
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.response_synthesizers import ResponseMode
from llamaindex_models import Provider

from llamaindex_semcache import cached, no_cache
from tests.integration.llamaindex.test_engine_table import FACTS, QUESTION, script


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
