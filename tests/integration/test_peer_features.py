"""What other caches offer, end to end: through a framework's own model, with the real embedder.

docs/comparison.md links here for the parts that have no test of their own through a whole cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.globals import set_llm_cache
from llama_index.core.base.embeddings.base import BaseEmbedding
from sqlalchemy import String, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import llamaindex_semcache
from langchain_semcache import SemanticCache, Turns, cached, refresh, settings
from langchain_semcache.testing import StandInChatModel
from llamaindex_semcache.testing import StandInLLM
from semcache_core.config.gptcache import translate_file
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.entries.tables import EntryColumns
from semcache_core.evaluators import (
    BM25,
    L2,
    Cosine,
    Exact,
    KReciprocal,
    SequenceMatch,
    TimeDecay,
    all_of,
)
from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.models import Candidate, Query, Score

ASKED, REWORDED, OTHER = (
    "How do I reset my password?",
    "How can I reset my password?",
    "What is the capital of Norway?",
)


def calls(cache: SemanticCache, *questions: str) -> int:
    """How often a model behind the cache is asked."""
    model = StandInChatModel()
    twin = cached(model, cache)
    for question in questions:
        twin.invoke(question)
    return model.calls


EVALUATORS: dict[str, Callable[[Any], Any]] = {
    "distance": lambda embedder: Cosine(),
    "np": lambda embedder: L2(),
    "kreciprocal": lambda embedder: KReciprocal(lambda entry, k: []),
    "sequence_match": SequenceMatch,
    "time": lambda embedder: all_of(Cosine(), TimeDecay(max_age=60)),
    "bm25": lambda embedder: BM25(),
}


@pytest.mark.parametrize("name", EVALUATORS)
def test_evaluations(name: str, minilm: Any) -> None:
    """GPTCache's ways of evaluating, behind a chat model: a rephrasing hits, another misses."""
    evaluator = EVALUATORS[name](minilm)
    with SemanticCache(embedding=minilm, evaluator=evaluator, threshold=0.6) as cache:
        assert calls(cache, ASKED, REWORDED, OTHER) == 2


def test_exact_evaluation(minilm: Any) -> None:
    """`Exact` takes case, space and punctuation for nothing, and every other word for a miss."""
    with SemanticCache(embedding=minilm, evaluator=Exact(), threshold=0.9) as cache:
        assert calls(cache, ASKED, "how do I reset my password", REWORDED) == 2


def test_a_factor_for_one_call(minilm: Any) -> None:
    """GPTCache's `cache_factor`: this call wants more than the threshold, the others do not."""
    with SemanticCache(embedding=minilm, evaluator=Cosine(), threshold=0.8) as cache:
        with settings(factor=1.245):  # 0.996, and the rephrasing has 0.992
            assert calls(cache, ASKED, REWORDED) == 2
        assert calls(cache, "How could I reset my password?") == 0


def test_callbacks_of_one_call(minilm: Any) -> None:
    """GPTCache's `hit_callback`: who asks is told of the hit, and here of misses as well."""
    hits: list[Any] = []
    misses: list[Any] = []
    with (
        SemanticCache(embedding=minilm) as cache,
        settings(on_hit=hits.append, on_miss=misses.append),
    ):
        assert calls(cache, ASKED, REWORDED, OTHER) == 2
    assert [hit.entry.query for hit in hits] == [ASKED]
    assert [miss.prompt.query for miss in misses] == [ASKED, OTHER]


def test_a_report(minilm: Any) -> None:
    """GPTCache's report and token counter: hits, misses, tokens, times, behind a chat model."""
    with SemanticCache(embedding=minilm) as cache:
        model = StandInChatModel()
        spent = cached(model, cache).invoke(ASKED).usage_metadata
        calls(cache, REWORDED, ASKED, OTHER)
        stats = cache.stats()
    assert spent is not None
    assert (stats.lookups, stats.hits, stats.hit_rate) == (4, 2, 0.5)
    assert stats.misses == {"no candidate": 2}
    assert stats.tokens_saved == 2 * spent["total_tokens"]
    assert {"embed", "search", "evaluate", "semantic hit", "miss"} <= stats.latency.keys()


class AskedModel(BaseEvaluator):
    """What GPTCache calls an LLM verifier: a model says whether the stored answer serves."""

    recommended_threshold = 1.0  # yes or no

    def __init__(self, model: StandInChatModel) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return "asked model"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        return [self._one(query, one) for one in candidates]

    def _one(self, query: Query, one: Candidate) -> Score:
        said = self.model.invoke(f"Same question?\n{query.text}\n{one.entry.query}").text
        return Score(1.0 if said == "yes" else 0.0, self.name, said)


@pytest.mark.parametrize("said", ["yes", "no"])
def test_a_model_verifies_hits(said: str, minilm: Any) -> None:
    """An evaluator of the user's own decides, and is asked once a candidate."""
    verifier = StandInChatModel(reply=lambda messages: said)
    with SemanticCache(embedding=minilm, evaluator=AskedModel(verifier)) as cache:
        assert calls(cache, ASKED, REWORDED) == (1 if said == "yes" else 2)
    assert verifier.calls == 1


def chosen(chooser: Any, embedding: Any) -> str:
    """Which of two stored answers a third wording gets."""
    with SemanticCache(embedding=embedding, threshold=0.5, post_process=chooser) as cache:
        for wording, answer in ((ASKED, "one"), ("What do I do to reset my password?", "two")):
            with refresh():  # otherwise the second would be served the first one's answer
                cached(StandInChatModel(reply=lambda m, said=answer: said), cache).invoke(wording)
        model = StandInChatModel()
        said = cached(model, cache).invoke(REWORDED).text
        assert model.calls == 0
        return said


def test_post_processing(minilm: Any) -> None:
    """Which of several acceptable answers is served: the best, a drawn one, a function's choice."""
    assert chosen("first", minilm) == "one"
    assert chosen(lambda prompt, scored: scored[-1], minilm) == "two"
    assert {chosen(name, minilm) for name in ("random", "softmax")} <= {"one", "two"}


class Words(Embeddings):
    """A LangChain embedding."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return HashEmbedder().embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class LlamaWords(BaseEmbedding):
    """A LlamaIndex embedding."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return Words().embed_query(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return Words().embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return Words().embed_query(query)


@pytest.mark.parametrize(
    "embedding",
    [Words(), LlamaWords(), lambda texts: Words().embed_documents(texts)],
    ids=["langchain", "llamaindex", "callable"],
)
def test_embeddings(embedding: Any) -> None:
    """Any embedding of either framework, and any function (OpenAI's, fasttext's, ...)."""
    how = {"evaluator": Cosine(), "threshold": 0.7}
    with SemanticCache(embedding=embedding, **how) as cache:
        assert calls(cache, ASKED, REWORDED, OTHER) == 2
    with llamaindex_semcache.SemanticCache(embed_model=embedding, **how) as cache:
        llm = StandInLLM()
        twin = llamaindex_semcache.cached(llm, cache)
        for question in (ASKED, REWORDED, OTHER):
            twin.complete(question)
        assert llm.calls == 2


@pytest.mark.parametrize("eviction", ["lru", "lfu", "fifo", "random"])
def test_eviction(eviction: str, minilm: Any) -> None:
    """The cache stays within its bounds, and what was evicted is asked for again."""
    cities = ["Paris", "Rome", "Oslo", "Bern", "Riga", "Kyiv", "Lima", "Cairo"]
    questions = [f"How many people live in {city}?" for city in cities]
    with SemanticCache(embedding=minilm, max_entries=3, eviction=eviction) as cache:
        assert calls(cache, *questions) == len(questions)
        cache.flush()
        assert cache.stats().entries <= 3
        assert calls(cache, *questions) > 0


def test_only_exact_matches(minilm: Any) -> None:
    """GPTCache's `string` embedding and LangChain's standard caches: equal prompts only."""
    exact = Turns(question="exact", tools_offered="exact")
    with SemanticCache(embedding=minilm, turns=exact) as cache:
        assert calls(cache, ASKED, ASKED, REWORDED) == 2


class Base(DeclarativeBase):
    """Tables of an application."""


class Answer(EntryColumns, Base):
    """Entries in a table of one's own, with a column for a full-text index beside ours."""

    __tablename__ = "answers"
    department: Mapped[str] = mapped_column(String(40), server_default="sales")


def test_a_table_of_ones_own_searched_as_text(minilm: Any, tmp_path: Any) -> None:
    """LangChain's guide keeps a SQLAlchemy cache in a custom class, to search prompts as text."""
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    with SemanticCache(entries=engine, table=Answer, embedding=minilm) as cache:
        assert calls(cache, ASKED, REWORDED) == 1
        cache.flush()
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT query, department FROM answers WHERE query LIKE '%password%'")
        ).all()
    engine.dispose()
    assert [tuple(row) for row in found] == [(ASKED, "sales")]


def test_switched_off_for_one_model(minilm: Any) -> None:
    """`cache=False` on a model, while the global cache serves all others."""
    with SemanticCache(embedding=minilm) as cache:
        set_llm_cache(cache)
        try:
            plain, off = StandInChatModel(), StandInChatModel(cache=False)
            for model in (plain, off):
                for _ in range(2):
                    model.invoke(ASKED)
            assert (plain.calls, off.calls) == (1, 2)
        finally:
            set_llm_cache(None)


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_answers_expire(framework: str, minilm: Any, clock: Any) -> None:
    """A time to live for the whole cache: served before it ends, asked for afterwards."""
    if framework == "langchain":
        cache: Any = SemanticCache(embedding=minilm, ttl=60, clock=clock)
        model: Any = StandInChatModel()
        ask = cached(model, cache).invoke
    else:
        cache = llamaindex_semcache.SemanticCache(embed_model=minilm, ttl=60, clock=clock)
        model = StandInLLM()
        ask = llamaindex_semcache.cached(model, cache).complete
    ask(ASKED)
    clock.advance(59)
    ask(REWORDED)
    assert model.calls == 1
    clock.advance(2)
    ask(REWORDED)
    assert model.calls == 2
    cache.close()


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_warmed_by_pairs(framework: str, minilm: Any) -> None:
    """Questions and answers known beforehand (`import_data`) answer a model's calls, reworded."""
    pairs = [(ASKED, "Follow the link in our e-mail."), (OTHER, "Oslo.")]
    if framework == "langchain":
        cache: Any = SemanticCache(embedding=minilm)
        model: Any = StandInChatModel()
        twin: Any = cached(model, cache)
        ask = lambda question: twin.invoke(question).text  # noqa: E731  # one word for both
    else:
        cache = llamaindex_semcache.SemanticCache(embed_model=minilm)
        model = StandInLLM()
        twin = llamaindex_semcache.cached(model, cache)
        ask = lambda question: twin.complete(question).text  # noqa: E731  # as above
    cache.warm(pairs, twin.invoke if framework == "langchain" else twin.complete)
    assert ask(REWORDED) == "Follow the link in our e-mail."
    assert model.calls == 0
    cache.close()


def test_a_configuration_of_gptcache(tmp_path: Any, minilm: Any) -> None:
    """Its YAML becomes settings that a cache is made of, with a note for each item."""
    file = tmp_path / "gptcache.yml"
    file.write_text(
        "embedding: onnx\n"
        f"storage_config:\n  manager: sqlite,faiss\n  data_dir: {tmp_path}/kept\n"
        "evaluation: distance\n"
        "config:\n  similarity_threshold: 0.8\n"
    )
    made = translate_file(file)
    assert made.notes
    assert made.refused == []
    with SemanticCache.from_config({**made.settings, "path": str(tmp_path / "cache")}) as cache:
        assert calls(cache, ASKED, REWORDED, OTHER) == 2
