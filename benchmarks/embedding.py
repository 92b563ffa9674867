"""What one short question costs to embed, on each of the ways there are; all in one run.

    python -m benchmarks.embedding [--rounds 200] [--json result.json]

Every round embeds one question, new to all of them, in every way, in an order that changes from
round to round; medians are compared, so a busy machine slows all ways alike. Before each call the
process sleeps for a few milliseconds, or one way's idle threads would still be spinning in the
next one's measurement. What absolute times mean depends on the machine; the ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from rich.console import Console
from rich.table import Table

from semcache_core.embedders import OnnxEmbedder, SentenceTransformerEmbedder, make_embedder
from semcache_core.embedders._locate import DEFAULT_MODEL, Source
from semcache_core.embedders.sentence_transformers import load

REFERENCE = "SentenceTransformer.encode"
QUESTIONS = (
    "What is the capital of France?",
    "How do I reset my password when I have lost my phone?",
    "Which flights go from Boston to Denver tomorrow morning?",
    "Why was my card payment declined?",
)
_PAUSE = 0.005
"""Seconds: longer than idle threads spin."""
_WARM = 10
"""Rounds that are not counted."""

Way = Callable[[str], Any]


def ways(model: str) -> dict[str, Way]:
    """Every way to embed one text, by name."""
    reference = load(Source(model).folder.path, "cpu")
    torch = SentenceTransformerEmbedder(model, device="cpu")
    onnx, int8 = OnnxEmbedder(model), OnnxEmbedder(model, dtype="int8")
    wrapped = make_embedder(OnnxEmbedder(model))
    return {
        REFERENCE: lambda text: reference.encode(text, show_progress_bar=False),
        "torch embedder": lambda text: torch.embed([text])[0],
        "ONNX embedder": lambda text: onnx.embed([text])[0],
        "ONNX, caching": lambda text: wrapped.embed([text])[0],
        "ONNX int8": lambda text: int8.embed([text])[0],
    }


def measured(all_ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, by way."""
    times: dict[str, list[float]] = {name: [] for name in all_ways}
    for number in range(rounds + _WARM):
        text = f"{QUESTIONS[number % len(QUESTIONS)]} ({number})"
        for name in random.sample(list(all_ways), len(all_ways)):
            time.sleep(_PAUSE)
            started = time.perf_counter()
            all_ways[name](text)
            times[name].append(time.perf_counter() - started)
    return {name: taken[_WARM:] for name, taken in times.items()}


def agreement(all_ways: dict[str, Way]) -> dict[str, float]:
    """The least cosine with the reference over the questions, by way."""
    expected = [np.asarray(all_ways[REFERENCE](text)) for text in QUESTIONS]
    return {
        name: min(
            float(way(text) @ row / np.linalg.norm(row))
            for text, row in zip(QUESTIONS, expected, strict=True)
        )
        for name, way in all_ways.items()
    }


def summary(
    times: dict[str, list[float]], cosines: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Milliseconds, ratio to the reference, least cosine, by way."""
    base = statistics.median(times[REFERENCE])
    return {
        name: {
            "median_ms": round(statistics.median(taken) * 1e3, 3),
            "p10_ms": round(statistics.quantiles(taken, n=10)[0] * 1e3, 3),
            "p90_ms": round(statistics.quantiles(taken, n=10)[-1] * 1e3, 3),
            "ratio": round(statistics.median(taken) / base, 3),
            "least_cosine": round(cosines[name], 6),
        }
        for name, taken in times.items()
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    all_ways = ways(options.model)
    cosines = agreement(all_ways)
    result = summary(measured(all_ways, options.rounds), cosines)
    columns = list(result[REFERENCE])
    table = Table("way", *columns)
    for name, row in result.items():
        table.add_row(name, *(str(row[column]) for column in columns))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
