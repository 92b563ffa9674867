"""What a hit costs beside its embedding, through LlamaIndex, with 10,000 entries in the cache.

The embedding is taken out by an embedder that looks its vectors up: the real MiniLM's, made before
the clock starts. Everything else is real: the default evaluator and policy, the record in memory
or in SQLite, the framework's classes. Run: python -m benchmarks.llamaindex_overhead [entries]

Prints percentiles in milliseconds as JSON: an exact hit and a paraphrase's hit through `chat`, a
replayed stream (all chunks), and a whole response of a query engine.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from llama_index.core import Document, Settings, SummaryIndex
from llama_index.core.llms import ChatMessage, ChatResponse, MockLLM

from llamaindex_semcache import CachedQueryEngine, SemanticCache, cached, refresh
from semcache_core.embedders import make_embedder
from semcache_core.models import Matrix

TOPICS = ["a parcel", "an invoice", "a refund", "a gift card", "a book", "an order", "a discount"]
PLACES = [f"city number {number}" for number in range(2000)]


class Instant(MockLLM):
    """Answers at once."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        text = "You can do that in the app, under Orders, within thirty minutes of paying. " * 3
        return ChatResponse(message=ChatMessage(role="assistant", content=text))


class Known:
    """An embedder whose vectors were made before; a look-up takes microseconds."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._vectors: dict[str, Any] = {}
        self.identity = real.identity
        self.dimension = real.dimension

    def learn(self, texts: Sequence[str]) -> None:
        """Embed these ahead of time."""
        self._vectors.update(zip(texts, self._real.embed(texts), strict=True))

    def fits(self, text: str) -> bool:
        return len(text) < 500

    def embed(self, texts: Sequence[str]) -> Matrix:
        return np.stack([self._vectors[text] for text in texts])

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        return self.embed(texts)


def questions(count: int) -> list[str]:
    """That many different questions."""
    pairs = [(topic, place) for place in PLACES for topic in TOPICS]
    return [f"How do I send {topic} to {place}?" for topic, place in pairs[:count]]


def measured(call: Callable[[str], Any], asked: Sequence[str]) -> dict[str, float]:
    """Percentiles of one call each, in milliseconds."""
    times = []
    for question in asked:
        started = perf_counter()
        call(question)
        times.append((perf_counter() - started) * 1e3)
    cuts = statistics.quantiles(times, n=100)
    return {"p50": round(cuts[49], 3), "p95": round(cuts[94], 3), "p99": round(cuts[98], 3)}


def measure(entries: int, path: str | None) -> dict[str, Any]:
    """All figures for one cache; `path` None keeps it in memory."""
    known = Known(make_embedder("all-MiniLM-L6-v2"))
    stored = questions(entries)
    sample = stored[:: max(1, entries // 300)]
    reworded = [question.replace("How do I", "How can I") for question in sample]
    known.learn([*stored, *reworded])
    with SemanticCache(path, embed_model=known) as cache:
        llm = cached(Instant(), cache)
        with refresh():  # stores each, however alike they are
            for question in stored:
                llm.chat([ChatMessage(question)])
        cache.flush()
        index = SummaryIndex.from_documents([Document(text="Everything can be sent.")])
        engine = CachedQueryEngine(index.as_query_engine(llm=MockLLM()), cache)
        engine.query(sample[0])
        figures: dict[str, Any] = {
            "exact": measured(lambda q: llm.chat([ChatMessage(q)]), sample),
            "paraphrase": measured(lambda q: llm.chat([ChatMessage(q)]), reworded),
            "stream": measured(lambda q: list(llm.stream_chat([ChatMessage(q)])), sample),
            "query engine": measured(lambda _: engine.query(sample[0]), sample),
        }
        stats = cache.stats()
        figures["semantic hits"] = f"{stats.semantic_hits} of {len(reworded)}"
        figures["stages"] = {
            name: {"p50": round(stage.p50 * 1e3, 3), "p95": round(stage.p95 * 1e3, 3)}
            for name, stage in stats.latency.items()
        }
    return figures


def main() -> None:
    """Print the figures of both kinds of record."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    Settings.embed_model = None
    with tempfile.TemporaryDirectory() as folder:
        found = {"memory": measure(entries, None), "sqlite": measure(entries, folder)}
    print(json.dumps({"entries": entries, "milliseconds": found}, indent=2))


if __name__ == "__main__":
    main()
