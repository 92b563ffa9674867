"""What an exact hit costs through `.invoke`, beside LangChain's InMemoryCache and the twin.

All variants are measured in turns within one run, so that a busy machine slows all alike; what to
read is the median of the rounds' ratios. Run: python -m benchmarks.langchain_exact_hit
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_semcache import SemanticCache, cached
from semcache_core.embedders.testing import HashEmbedder

MESSAGES = [
    SystemMessage("You are the support desk of a bank. Answer in one sentence."),
    HumanMessage("How do I block a card that was stolen abroad?"),
]


class Instant(BaseChatModel):
    """Answers at once, so that only the framework and the cache cost time."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(
            "Call the number on the back of your card, or block it in the app.",
            usage_metadata={"input_tokens": 40, "output_tokens": 15, "total_tokens": 55},
            response_metadata={"model_name": "instant", "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _timed(call: Callable[[], Any], repeats: int) -> float:
    started = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - started) / repeats * 1e6


def measure(rounds: int = 300, repeats: int = 5) -> dict[str, list[float]]:
    """Microseconds of one `.invoke` in each round, by variant."""
    ours = SemanticCache(embedding=HashEmbedder())
    variants: dict[str, Any] = {
        "no cache": Instant(cache=False),
        "InMemoryCache": Instant(cache=InMemoryCache()),
        "SemanticCache": Instant(cache=ours),
        "cached(model)": cached(Instant(), ours),
    }
    calls = {name: (lambda model=model: model.invoke(MESSAGES)) for name, model in variants.items()}
    for call in calls.values():
        _timed(call, 20)
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.disable()
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(_timed(call, repeats))
        gc.collect()
    gc.enable()
    ours.close()
    return times


def main() -> None:
    """Print the medians, and the median over rounds of each ratio to InMemoryCache, as JSON."""
    times = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    base = times["InMemoryCache"]
    medians = {name: round(statistics.median(taken), 1) for name, taken in times.items()}
    ratios = {
        name: round(statistics.median(a / b for a, b in zip(taken, base, strict=True)), 2)
        for name, taken in times.items()
    }
    print(json.dumps({"microseconds": medians, "ratio to InMemoryCache": ratios}, indent=2))


if __name__ == "__main__":
    main()
