"""How the store's hit, miss and put grow with its size, beside the floors they stand on.

    python benchmarks/store.py [--sizes 1000,10000,100000] [--scopes 1,1000] [--rounds 200]

Vectors are synthetic: 384 numbers, in clusters as questions and their paraphrases are. All figures
are medians (95th percentile in brackets) in microseconds. The operations take turns within one
loop, and so do the sizes, so that a busy machine is unfair to none of them; ratios are worth more
than times. A million entries take a quarter of an hour in 1,000 scopes, and an hour in one, most of
it for the two Chroma collections.

exact      get of an entry that is not in this process's memory: one row from SQLite
near       nearest for a paraphrase (cosine about 0.92), with its rows, of which none is in memory
far        nearest for a novel question: nothing reaches the floor of 0.8
put        one new entry, durable
floors     sqlite3 by key (no SQLAlchemy), numpy's product over one scope, and a plain Chroma
           collection of the same vectors, unsalted, one query (only with one scope)
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core.models import Entry, Matrix, Vector
from semcache_core.store import Store, open_store

DIMENSION = 384
EMBEDDING = 3_000.0
"""Microseconds that embedding a question takes, for the ratios at the end."""
FLOOR = 0.8
ANSWER = b"x" * 750


class Fixed:
    """What the store asks of an embedder: a name and a length."""

    identity = "synthetic"
    dimension = DIMENSION


class Vectors:
    """Synthetic questions in clusters."""

    def __init__(self, count: int) -> None:
        self._random = np.random.default_rng(7)
        centres = self._random.standard_normal((count // 20 + 1, DIMENSION), np.float32)
        self.rows: Matrix = np.empty((count, DIMENSION), np.float32)
        for first in range(0, count, 10_000):  # of a million at once, the memory would not do
            part = self.rows[first : first + 10_000]
            near = centres[self._random.integers(len(centres), size=len(part))]
            noise = self._random.standard_normal(part.shape, np.float32)
            part[:] = unit(near + np.float32(0.8) * noise)

    def paraphrase(self, i: int) -> Vector:
        """A vector with a cosine of about 0.92 to the i-th."""
        noise = self._random.standard_normal(DIMENSION) / np.sqrt(DIMENSION)
        return unit(self.rows[i] + 0.42 * noise[None])[0]

    def novel(self) -> Vector:
        """A vector with nothing near it."""
        return unit(self._random.standard_normal((1, DIMENSION)))[0]

    def pick(self, count: int) -> int:
        """One of the first `count`."""
        return int(self._random.integers(count))


def unit(rows: Any) -> Matrix:
    """Rows of unit length, float32."""
    made: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def key(i: int) -> str:
    """A key as the adapters make them."""
    return hashlib.sha256(str(i).encode()).hexdigest()


def scope(i: int, scopes: int) -> str:
    """The scope of the i-th entry."""
    return hashlib.sha256(f"scope {i % scopes}".encode()).hexdigest()


def entry(i: int, vector: Vector, scopes: int) -> Entry:
    """The i-th entry."""
    return Entry(
        key=key(i),
        scope=scope(i, scopes),
        namespace="",
        payload=ANSWER,
        created=time.time(),
        query="how do I reset the thing",
        vector=vector,
    )


class Meter:
    """Times operations that take turns."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.times.setdefault(name, []).append((time.perf_counter() - start) * 1e6)
        return result

    def median(self, name: str) -> float:
        """In microseconds."""
        return float(np.median(self.times[name]))

    def line(self, name: str) -> str:
        """Median and 95th percentile."""
        return f"{self.median(name):9,.0f} ({np.percentile(self.times[name], 95):,.0f})"


@contextmanager
def floors(vectors: Vectors, count: int, scopes: int, folder: Path) -> Iterator[dict[str, Any]]:
    """The same vectors in a plain Chroma collection and in one numpy matrix."""
    import chromadb
    from chromadb.config import Settings

    made: dict[str, Any] = {"numpy": np.ascontiguousarray(vectors.rows[: count : scopes or 1])}
    client = None
    if scopes == 1:
        client = chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))
        collection = client.create_collection(
            "plain", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        for first in range(0, count, 1000):
            ids = [key(i) for i in range(first, min(first + 1000, count))]
            collection.add(ids=ids, embeddings=vectors.rows[first : first + len(ids)])
        made["chroma"] = collection
    yield made
    if client is not None:
        client.close()


def filled(folder: Path, vectors: Vectors, count: int, scopes: int) -> Store:
    """A store with `count` entries, its large scopes indexed."""
    store = open_store(folder, embedder=Fixed(), hot=1)  # type: ignore[arg-type]  # no embedding
    for first in range(0, count, 1000):
        last = min(first + 1000, count)
        store.put([entry(i, vectors.rows[i], scopes) for i in range(first, last)])
    for i in range(scopes):
        store.nearest(scope(i, scopes), vectors.rows[i], 1)
    store.flush()
    return store


@dataclass(frozen=True)
class Subject:
    """A filled store with its floors."""

    store: Store
    raw: sqlite3.Connection
    floor: dict[str, Any]
    vectors: Vectors
    count: int
    scopes: int


@contextmanager
def opened(count: int, scopes: int, rounds: int) -> Iterator[Subject]:
    """A store of this size, in a folder that is gone afterwards."""
    print(f"{count:,} entries in {scopes:,} scope(s) ...", file=sys.stderr)
    vectors = Vectors(count + rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        store = filled(folder / "store", vectors, count, scopes)
        print(f"  filled in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        raw = sqlite3.connect(folder / "store" / "entries.sqlite3")
        with floors(vectors, count, scopes, folder / "plain") as floor:
            yield Subject(store, raw, floor, vectors, count, scopes)
        health = store.health()
        print(f"  {count:,}: index {health.index}, pending {health.pending}", file=sys.stderr)
        raw.close()
        store.close()


def measured(counts: list[int], scopes: int, rounds: int) -> dict[int, Meter]:
    """All operations on stores of these sizes, which take turns: a busy moment slows all alike."""
    meters = {count: Meter() for count in counts}
    with ExitStack() as stack:
        subjects = [stack.enter_context(opened(count, scopes, rounds)) for count in counts]
        for turn in range(rounds):
            for one in random.sample(subjects, len(subjects)):
                one_turn(meters[one.count], one, turn)
    gc.collect()
    return meters


def one_turn(meter: Meter, one: Subject, turn: int) -> None:
    """Each operation once."""
    store, raw, floor, vectors = one.store, one.raw, one.floor, one.vectors
    count, scopes = one.count, one.scopes
    i = vectors.pick(count)
    question, other = vectors.paraphrase(i), vectors.novel()
    row = "SELECT * FROM semcache WHERE key = ?"
    found = meter("near", lambda: store.nearest(scope(i, scopes), question, 5, FLOOR))
    meter.times.setdefault("found", []).append(any(c.entry.key == key(i) for c in found))
    assert meter("far", lambda: store.nearest(scope(i, scopes), other, 5, FLOOR)) == []
    assert meter("exact", lambda: store.get(key(vectors.pick(count)))) is not None
    meter("sqlite3", lambda: raw.execute(row, (key(vectors.pick(count)),)).fetchone())
    meter("numpy", lambda: floor["numpy"] @ other)
    if "chroma" in floor:
        meter(
            "chroma",
            lambda: floor["chroma"].query(
                query_embeddings=question[None], n_results=5, include=["distances"]
            ),
        )
    new = entry(count + turn, vectors.rows[count + turn], scopes)
    meter("put", lambda: store.put([new]))


def report(meters: dict[tuple[int, int], Meter]) -> None:
    """The table, and how much a lookup with its embedding grows."""
    names = ["exact", "near", "far", "put", "sqlite3", "numpy", "chroma"]
    print("entries  scopes  " + "".join(f"{name:>18}" for name in names))
    for (count, scopes), meter in meters.items():
        cells = [meter.line(name) if name in meter.times else "-" for name in names]
        print(f"{count:7,}  {scopes:6,}  " + "".join(f"{cell:>18}" for cell in cells))
    for (count, scopes), meter in meters.items():
        print(f"{count:,} in {scopes:,}: found {np.mean(meter.times['found']):.1%} of paraphrases")
    small = {scopes: meter for (count, scopes), meter in meters.items() if count == 10_000}
    for (count, scopes), meter in meters.items():
        if count > 10_000 and scopes in small:
            grown = {
                name: (meter.median(name) + EMBEDDING) / (small[scopes].median(name) + EMBEDDING)
                for name in ("near", "far", "put")
            }
            said = ", ".join(f"{name} x{ratio:.2f}" for name, ratio in grown.items())
            print(f"10,000 to {count:,} in {scopes:,} scope(s), with 3 ms of embedding: {said}")


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--scopes", default="1,1000")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    meters = {}
    for scopes in map(int, options.scopes.split(",")):
        sizes = [int(size) for size in options.sizes.split(",")]
        for count, meter in measured(sizes, scopes, options.rounds).items():
            meters[count, scopes] = meter
    report(meters)


if __name__ == "__main__":
    main()
