"""What one short question costs to embed, on each of the ways there are; all in one run.

    python -m benchmarks.embedding [--rounds 200] [--json result.json]

With SEMCACHE_DATA naming the folder of questions, int8 is compared with float32 on them as well.

Every round embeds one question, new to all of them, in every way, in an order that changes from
round to round; medians are compared, so a busy machine slows all ways alike. Before each call the
process sleeps for a few milliseconds, or one way's idle threads would still be spinning in the
next one's measurement. What absolute times mean depends on the machine; the ratios are the result.
"""

from __future__ import annotations

import argparse
import gzip
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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from semcache_core.embedders import OnnxEmbedder, SentenceTransformerEmbedder, make_embedder
from semcache_core.embedders._locate import DEFAULT_MODEL, Source
from semcache_core.embedders.sentence_transformers import load
from semcache_core.models import Matrix

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


def rankings(folder: Path, model: str) -> dict[str, float]:
    """How far int8 ranks real questions as float32 does: 4,000 of QQP's (Quora's terms)."""
    with gzip.open(folder / "qqp_pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line, _ in zip(lines, range(2_000), strict=False)]
    texts = list(dict.fromkeys(pair[side] for pair in pairs for side in "ab"))
    place = {text: number for number, text in enumerate(texts)}
    whole, small = (OnnxEmbedder(model, dtype=dtype).embed(texts) for dtype in ("float32", "int8"))
    near, near_small = (_nearest(rows) for rows in (whole, small))
    same = [len(set(a) & set(b)) / len(a) for a, b in zip(near, near_small, strict=True)]
    left, right = ([place[pair[side]] for pair in pairs] for side in "ab")
    labels = np.array([pair["label"] for pair in pairs], bool)
    scores, scores_small = ((rows[left] * rows[right]).sum(axis=1) for rows in (whole, small))
    return {
        "questions": len(texts),
        "same_nearest": float((near[:, 0] == near_small[:, 0]).mean()),
        "same_of_5_nearest": float(np.mean(same)),
        "rank_correlation_of_pairs": float(np.corrcoef(_ranks(scores), _ranks(scores_small))[0, 1]),
        "auc_float32": _auc(scores, labels),
        "auc_int8": _auc(scores_small, labels),
        "least_cosine": float((whole * small).sum(axis=1).min()),
        "mean_cosine": float((whole * small).sum(axis=1).mean()),
    }


def _nearest(rows: Matrix) -> NDArray[np.int64]:
    similarities = rows @ rows.T
    np.fill_diagonal(similarities, -1)
    return np.argsort(-similarities, axis=1)[:, :5]


def _ranks(scores: Matrix) -> NDArray[np.int64]:
    return np.argsort(np.argsort(scores))


def _auc(scores: Matrix, labels: NDArray[np.bool_]) -> float:
    """The chance that a pair of the same meaning scores above another (Mann and Whitney)."""
    ranks, positive = _ranks(scores) + 1, int(labels.sum())
    above = ranks[labels].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(labels) - positive)))


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    all_ways = ways(options.model)
    cosines = agreement(all_ways)
    result: dict[str, dict[str, float]] = summary(measured(all_ways, options.rounds), cosines)
    columns = list(result[REFERENCE])
    table = Table("way", *columns)
    for name, row in result.items():
        table.add_row(name, *(str(row[column]) for column in columns))
    Console().print(table)
    if folder := os.environ.get("SEMCACHE_DATA"):
        result["int8 against float32"] = rankings(Path(folder), options.model)
        Console().print(result["int8 against float32"])
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
