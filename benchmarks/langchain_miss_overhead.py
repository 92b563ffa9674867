"""What `cached(model)` adds to a miss of a model that takes 50 ms.

The bare model and its twin are asked in turns, each time something new; the cache is in memory, and
on disk with its real write. What embedding takes is among the stages. To read: the median of the
differences, as a share of the bare call. Run: python -m benchmarks.langchain_miss_overhead [rounds]
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_semcache import SemanticCache, cached
from semcache_core.embedders.testing import HashEmbedder

SECONDS = 0.05
ANSWER = "Call the number on the back of your card, or block it in the app at any time of the day."


class Slow(BaseChatModel):
    """Answers after 50 ms, or streams its words over 50 ms."""

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        time.sleep(SECONDS)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(ANSWER))])

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(SECONDS)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(ANSWER))])

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        words = ANSWER.split(" ")
        for word in words:
            time.sleep(SECONDS / len(words))
            yield ChatGenerationChunk(message=AIMessageChunk(word + " "))


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds of a bare call, and what the twin adds, by place and method."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        asks: dict[str, Any] = {
            "invoke": lambda model, text: model.invoke(text),
            "ainvoke": lambda model, text: runner.run(model.ainvoke(text)),
            "stream": lambda model, text: list(model.stream(text)),
        }
        found: dict[str, dict[str, dict[str, float]]] = {}
        for place, path in {"memory": None, "disk": folder}.items():
            with SemanticCache(path, embedding=HashEmbedder()) as cache:
                bare = Slow()
                twin = cached(bare, cache)
                found[place] = {
                    name: _compared(ask, bare, twin, name, rounds) for name, ask in asks.items()
                }
                # "put" is the write and its fsync; "embed" is not the twin's to answer for
                found[place]["stages ms"] = {
                    name: round(taken.p50 * 1e3, 2) for name, taken in cache.stats().latency.items()
                }
    return found


def _compared(ask: Any, bare: Any, twin: Any, name: str, rounds: int) -> dict[str, float]:
    taken: list[tuple[float, float]] = []
    for number in range(rounds):
        digest = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
        question = f"what is {digest[:8]} {digest[8:16]} {digest[16:24]}"  # like no other
        taken.append((_timed(ask, bare, question), _timed(ask, twin, question)))
    alone = statistics.median(one for one, _ in taken)
    added = statistics.median(other - one for one, other in taken)
    return {
        "bare ms": round(alone * 1e3, 2),
        "added ms": round(added * 1e3, 2),
        "added %": round(100 * added / alone, 2),
    }


def _timed(ask: Any, model: Any, question: str) -> float:
    started = time.perf_counter()
    ask(model, question)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 60), indent=2))
