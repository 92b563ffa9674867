"""Real questions with labels for the benchmarks of quality: pairs, streams, and their embeddings.

The folder is named by SEMCACHE_DATA and is not part of this repository. Sources and licences:
Kmemo (NaCode-Studios/Kmemo, Apache-2.0), PAWS-X English (google-research-datasets/paws, free for
any purpose), QQP (Quora's terms: evaluation only) and the mock questions of GPTCache
(zilliztech/GPTCache: evaluation only), BANKING77 and NLU++ (PolyAI-LDN/task-specific-datasets,
CC-BY-4.0), CLINC150 (clinc/oos-eval, CC-BY-3.0), SNIPS (sonos/nlu-benchmark, CC0).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core.evaluators.distance import plain
from semcache_core.models import Candidate, Entry, Matrix, Query
from semcache_core.protocols import Embedder

SEED = 7
NEIGHBOURS = 5
FLOOR = 0.6
"""Similarity below which a stream's neighbours are not kept."""


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs of one data set."""

    name: str
    rows: list[tuple[str, str, int]]
    """Query, stored question, and 1 if one answer serves both."""
    kinds: list[str]
    """The kind of trap or paraphrase, where the data set says it."""


@dataclass(frozen=True)
class Lookup:
    """One question of a stream that no exact match answers, and its nearest stored ones."""

    query: Query
    near: list[Candidate]
    right: list[bool]
    """Whether each neighbour is the same request."""


@dataclass(frozen=True)
class Stream:
    """Questions in order of arrival; all are stored unless they are stored already."""

    name: str
    lookups: list[Lookup]
    asked: int
    """All questions, the exact repeats included."""
    answerable: int
    """Questions for which the same request was stored, in other words: the oracle's hits."""


def folder() -> Path:
    """Where the data is; ends the program with a hint if SEMCACHE_DATA does not say so."""
    path = os.environ.get("SEMCACHE_DATA", "")
    if not Path(path or "/nowhere").is_dir():
        sys.exit("SEMCACHE_DATA must name the folder with the data sets")
    return Path(path)


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a file; none if the folder does not hold it."""
    path = folder() / f"{name}.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def labelled(file: str, name: str, size: int | None = None) -> Pairs:
    """The pairs of a file, exact repeats left out: `size` of them, drawn at random."""
    rows = read(file)
    random.Random(SEED).shuffle(rows)
    rows = [row for row in rows if plain(row["a"]) != plain(row["b"])][:size]
    return Pairs(
        name,
        [(row["a"], row["b"], int(row["label"])) for row in rows],
        [row.get("kind", "") for row in rows],
    )


def mock(embedder: Embedder) -> Pairs:
    """GPTCache's questions: each with its paraphrase and with the nearest other question."""
    rows = read("gptcache_mock")
    if not rows:
        return Pairs("gptcache mock", [], [])
    stored, asked = [row["origin"] for row in rows], [row["similar"] for row in rows]
    similar = vectors(embedder, asked) @ vectors(embedder, stored).T
    np.fill_diagonal(similar, -1.0)
    other = [stored[i] for i in similar.argmax(axis=1)]
    right = [(a, b, 1) for a, b in zip(asked, stored, strict=True)]
    wrong = [(a, b, 0) for a, b in zip(asked, other, strict=True)]
    return Pairs("gptcache mock", right + wrong, [""] * 2 * len(rows))


def same_group(embedder: Embedder, file: str, name: str, size: int) -> Pairs:
    """Each question with its four nearest, labelled 1 for the same group.

    An intent is coarser than an answer: many of the 1s want different answers; the 0s all do.
    """
    rows = read(file)
    random.Random(SEED).shuffle(rows)
    rows = rows[:size]
    found = []
    embedded = vectors(embedder, [row["text"] for row in rows])
    for i, row in enumerate(rows):
        similar = embedded @ embedded[i]
        for j in np.argsort(-similar)[1:5]:
            other = rows[int(j)]
            if similar[j] >= FLOOR and plain(other["text"]) != plain(row["text"]):
                found.append((row["text"], other["text"], int(row["group"] == other["group"])))
    return Pairs(name, found, [""] * len(found))


def stream(embedder: Embedder, file: str, name: str, size: int | None = None) -> Stream:
    """The questions of a file in a random order of arrival, each against all before it."""
    rows = read(file)
    random.Random(SEED).shuffle(rows)
    rows = rows[:size]
    embedded = vectors(embedder, [row["text"] for row in rows])
    stored: list[int] = []
    seen: set[str] = set()
    groups: Counter[str] = Counter()
    lookups, answerable = [], 0
    for i, row in enumerate(rows):
        if plain(row["text"]) in seen:
            continue
        answerable += groups[row["group"]] > 0
        lookups.append(_lookup(rows, embedded, stored, i))
        stored.append(i)
        seen.add(plain(row["text"]))
        groups[row["group"]] += 1
    return Stream(name, lookups, len(rows), answerable)


def _lookup(rows: list[dict[str, Any]], embedded: Matrix, stored: list[int], i: int) -> Lookup:
    query = Query(rows[i]["text"], embedded[i])
    similar = embedded[stored] @ embedded[i] if stored else np.empty(0, np.float32)
    nearest = [int(j) for j in np.argsort(-similar)[:NEIGHBOURS] if similar[j] >= FLOOR]
    near = [candidate(rows[stored[j]]["text"], float(similar[j])) for j in nearest]
    right = [rows[stored[j]]["group"] == rows[i]["group"] for j in nearest]
    return Lookup(query, near, right)


def candidate(text: str, similarity: float) -> Candidate:
    """A stored question."""
    return Candidate(Entry(text, "", "", b"", 0.0, query=text), similarity)


def vectors(embedder: Embedder, texts: Sequence[str]) -> Matrix:
    """Embeddings of the texts, kept in the system's temporary folder between runs."""
    digest = hashlib.sha256("\0".join([embedder.identity, *texts]).encode()).hexdigest()[:24]
    path = Path(tempfile.gettempdir()) / "semcache-benchmarks" / f"{digest}.npy"
    if path.exists():
        kept: Matrix = np.load(path, allow_pickle=False)
        return kept
    path.parent.mkdir(exist_ok=True)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.zeros((len(texts), embedder.dimension), np.float32)
    for start in range(0, len(order), 64):
        batch = order[start : start + 64]
        found[batch] = embedder.embed([texts[i] for i in batch])
    np.save(path, found)
    return found


def cosines(embedder: Embedder, pairs: Pairs) -> list[float]:
    """The cosine similarity of each pair."""
    left = vectors(embedder, [a for a, _, _ in pairs.rows])
    right = vectors(embedder, [b for _, b, _ in pairs.rows])
    return [float(value) for value in np.einsum("ij,ij->i", left, right)]
