"""Warming: answers known beforehand are found by the calls that programs make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_models import Counting, CountingLLM, Streaming
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from pydantic import BaseModel

from langchain_semcache import SemanticCache as LangChainCache
from langchain_semcache import cached
from langchain_semcache import no_cache as langchain_no_cache
from llamaindex_semcache import SemanticCache as LlamaIndexCache
from llamaindex_semcache import cached as llamaindex_cached
from semcache_core.cache import SemanticCache
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError, EmbedderError, UncacheableError
from semcache_core.evaluators import Cosine
from semcache_core.warming import Known, Warmed

PAIRS = [("how do I reset my password", "Use the link."), ("where is my order", "On its way.")]
LOOSE: dict[str, Any] = {"evaluator": Cosine(), "threshold": 0.7}


@pytest.fixture
def cache() -> Iterator[LangChainCache]:
    """LangChain's, in memory, deciding by cosine."""
    with LangChainCache(embedding=HashEmbedder(), **LOOSE) as made:
        yield made
    set_llm_cache(None)


def test_the_cores_own_questions(tmp_path: Path) -> None:
    """With what must match; what is there stays unless it is to be replaced."""
    with SemanticCache(tmp_path, embedder=HashEmbedder(), **LOOSE) as made:
        assert made.warm(PAIRS, exact="u1") == Warmed(2, 2)
        assert made.get("how do I reset my password please", exact="u1") == "Use the link."
        assert made.get("how do I reset my password") is None
        again = [(question, "New.") for question, _ in PAIRS]
        assert made.warm(again, exact="u1") == Warmed(2, 0, 2)
        assert made.get("where is my order", exact="u1") == "On its way."
        assert made.warm(again, exact="u1", overwrite=True).stored == 2
        assert made.get("where is my order", exact="u1") == "New."
        assert made.stats().stored == 0, "warming is no traffic"
        assert made.stats().lookups == 4


def test_pairs_may_say_more() -> None:
    """Tokens and an end of their own."""
    now = [1000.0]
    with SemanticCache(embedder=HashEmbedder(), clock=lambda: now[0], **LOOSE) as made:
        made.warm([{"question": "q", "answer": "a", "tokens": 5, "ttl": 60}, Known("r", "b")])
        assert made.get("q") == "a"
        assert made.stats().tokens_saved == 5
        now[0] += 61
        assert made.get("q") is None
        assert made.get("r") == "b"


def test_progress_is_told_after_each_batch() -> None:
    """And what was committed stays when the next batch fails."""
    seen: list[Warmed] = []
    pairs = [(f"question {n}", "a") for n in range(10)]
    with SemanticCache(embedder=HashEmbedder()) as made:
        made.warm(pairs, batch=4, progress=seen.append)
        assert [state.pairs for state in seen] == [4, 8, 10]
        with pytest.raises(ConfigError, match="pair 6"):
            made.warm([*[(f"new {n}", "a") for n in range(5)], ("", "a")], batch=5)
        assert made.stats().entries == 15


@pytest.mark.parametrize(
    "pair",
    [("q",), ("q", ""), (" ", "a"), ("q", 3), {"question": "q"}, {"q": 1}, 7, ("q", "a", -1)],
    ids=repr,
)
def test_a_pair_that_is_none_is_named(pair: Any) -> None:
    """By its number."""
    with SemanticCache(embedder=HashEmbedder()) as made, pytest.raises(ConfigError, match="pair 2"):
        made.warm([("q", "a"), pair])


@pytest.mark.parametrize("batch", [0, -1, True, "x"])
def test_a_batch_is_a_number(batch: Any) -> None:
    """Of at least 1."""
    with SemanticCache(embedder=HashEmbedder()) as made, pytest.raises(ConfigError, match="batch"):
        made.warm(PAIRS, batch=batch)


def test_a_model_is_a_function_for_the_core() -> None:
    """Frameworks' models are their classes' business; a function has to ask through this cache."""
    with SemanticCache(embedder=HashEmbedder()) as made, SemanticCache() as other:
        for wrong in (3, "x", Counting()):
            with pytest.raises(ConfigError):
                made.warm(PAIRS, wrong)
        with pytest.raises(ConfigError, match="system"):
            made.warm(PAIRS, made.get, system="x")
        with pytest.raises(ConfigError, match="no model"):
            made.warm(PAIRS, lambda question: None)
        with pytest.raises(ConfigError, match="another cache"):
            made.warm(PAIRS, other.get)
        assert made.warm(PAIRS, made.get).stored == 2


def test_another_cache_of_the_same_record_will_do(tmp_path: Path) -> None:
    """The program has its own object on the same folder."""
    with (
        SemanticCache(tmp_path, embedder=HashEmbedder(), **LOOSE) as ours,
        SemanticCache(tmp_path, embedder=HashEmbedder(), **LOOSE) as theirs,
    ):
        assert ours.warm(PAIRS, theirs.get).stored == 2
        assert theirs.get("where is my order now") == "On its way."


def test_a_failing_embedder_is_told() -> None:
    """Warming is no user's call: nothing is swallowed."""

    def broken(texts: list[str]) -> list[list[float]]:
        raise RuntimeError("out of order")

    with SemanticCache(embedder=broken) as made, pytest.raises(EmbedderError):
        made.warm(PAIRS)


def test_what_only_the_same_wording_finds_is_said() -> None:
    """With the reason: a long question, a prompt that is no question."""
    with SemanticCache() as made:
        told = made.warm([("word " * 500, "a"), *PAIRS])
    assert (told.stored, told.exact_only) == (3, 1)
    assert "window" in str(told)


def test_chat_models_are_warmed_for_every_way_of_asking(cache: LangChainCache) -> None:
    """The global cache, a twin, a stream; with the system prompt that the program has."""
    model = Streaming()
    assert cache.warm(PAIRS, model, system="Be brief.").stored == 2
    asked = [SystemMessage("Be brief."), HumanMessage("where is my order please")]
    set_llm_cache(cache)
    assert model.invoke(asked).content == "On its way."
    set_llm_cache(None)
    twin = cached(model, cache)
    assert twin.invoke(asked).content == "On its way."
    assert "".join(str(chunk.content) for chunk in twin.stream(asked)) == "On its way."
    assert model.calls == 0


async def test_warmed_answers_hit_on_the_event_loop(cache: LangChainCache) -> None:
    """One entry for both worlds."""
    model = Counting()
    cache.warm(PAIRS, model)
    answer = await cached(model, cache).ainvoke("where is my order please")
    assert answer.content == "On its way."
    assert model.calls == 0


def test_chains_are_warmed_through_their_one_variable(cache: LangChainCache) -> None:
    """Prompt, parser and twin inside; several variables want a function."""
    model = Counting()
    template = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{asked}")])
    chain = template | cached(model, cache) | StrOutputParser()
    assert cache.warm(PAIRS, chain).stored == 2
    assert chain.invoke({"asked": "where is my order please"}) == "On its way."
    two = ChatPromptTemplate.from_template("{a} {b}") | cached(model, cache)
    with pytest.raises(ConfigError, match="a, b"):
        cache.warm(PAIRS, two)
    assert cache.warm(PAIRS, lambda q: two.invoke({"a": "x", "b": q})).stored == 2
    assert model.calls == 0


def test_plain_llms_are_warmed_too(cache: LangChainCache) -> None:
    """Texts in, texts out: by the global cache and by a twin."""
    model = CountingLLM()
    assert cache.warm(PAIRS, model).stored == 2
    assert cached(model, cache).invoke("where is my order please") == "On its way."
    set_llm_cache(cache)
    assert model.invoke("how do I reset my password now") == "Use the link."
    assert model.log == []


def test_the_global_cache_is_put_back(cache: LangChainCache) -> None:
    """Also when warming fails."""
    with LangChainCache(embedding=HashEmbedder()) as before:
        set_llm_cache(before)
        cache.warm(PAIRS, Counting())
        assert get_llm_cache() is before
        with pytest.raises(ConfigError):
            cache.warm([("", "")], Counting())
        assert get_llm_cache() is before


def test_what_cannot_be_warmed_in_langchain_is_named(cache: LangChainCache) -> None:
    """A model without caching, no model at all, a system prompt for a chain."""
    for wrong, said in ((3, "runnable"), (Counting(cache=False), "cache=False")):
        with pytest.raises(ConfigError, match=said):
            cache.warm(PAIRS, wrong)
    with pytest.raises(ConfigError, match="system"):
        cache.warm(PAIRS, StrOutputParser(), system="x")
    with langchain_no_cache(), pytest.raises((ConfigError, UncacheableError)):
        cache.warm(PAIRS, lambda q: None)


def test_prompts_says_what_a_call_looks_up(cache: LangChainCache) -> None:
    """For `explain`: the very scope of the program's calls."""
    model = Counting()
    cache.warm(PAIRS, model)
    (prompt,) = cache.prompts("where is my order please", model)
    explained = cache.explain(prompt)
    assert explained.outcome
    assert "On its way" not in str(explained)
    assert cache.prompts("x", exact=1)[0].query == "x"
    assert model.calls == 0


def test_llamaindex_llms_and_engines_are_warmed() -> None:
    """Chat and completion of an LLM, a chat engine, a function."""
    with LlamaIndexCache(embed_model=HashEmbedder(), **LOOSE) as made:
        llm = llamaindex_cached(MockLLM(), made)
        assert made.warm(PAIRS, MockLLM()).stored == 4
        assert made.warm(PAIRS, llm).present == 4
        assert str(llm.complete("where is my order please")) == "On its way."
        chat = llm.chat([ChatMessage(content="where is my order please")])
        assert chat.message.content == "On its way."
        streamed = list(llm.stream_complete("where is my order please"))
        assert streamed[-1].text == "On its way."
        memory = ChatMemoryBuffer.from_defaults(token_limit=4000)
        engine = SimpleChatEngine.from_defaults(llm=llm, system_prompt="Be kind.", memory=memory)
        assert made.warm(PAIRS, engine).stored == 2
        assert str(engine.chat("where is my order please")) == "On its way."
        assert made.warm(PAIRS, llm, system="Be brief.").stored == 2
        assert made.warm(PAIRS, lambda q: llm.complete(f"In short: {q}")).stored == 2
        with pytest.raises(ConfigError, match="function of a question"):
            made.warm(PAIRS, object())
        with pytest.raises(ConfigError, match="system"):
            made.warm(PAIRS, engine, system="x")
        assert made.warm(PAIRS).stored == 2


def test_structured_answers_are_given_as_json() -> None:
    """What is no JSON of the class is refused."""
    from llamaindex_semcache.payload import ObjectCodec

    class Answer(BaseModel):
        number: int

    assert ObjectCodec(Answer).from_text('{"number": 7}') == Answer(number=7)


def test_an_answer_that_cannot_be_made_of_a_text_is_refused() -> None:
    """By the name of its kind."""

    class Odd:
        name = "odd"

        def encode(self, answer: Any) -> bytes:
            return b""

        def decode(self, data: bytes) -> Any:
            return None

        def text(self, data: bytes) -> str:
            return ""

    with SemanticCache(embedder=HashEmbedder()) as made:
        prompt = made.prompt("odd", None, "q")
        with pytest.raises(UncacheableError, match="odd"):
            made.warm(PAIRS, lambda question: made.find(prompt, Odd()))
