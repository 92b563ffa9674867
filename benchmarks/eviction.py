"""Hit rates of the eviction rules beside the best that is possible (Belady's).

    python -m benchmarks.eviction [--requests 20000] [--json FILE]

Each stream of requests goes through a store of each rule and size, empty at first; a request that
is not answered is put. Belady's rule knows the future: it evicts what is asked for again last, and
no rule has more hits with entries of one size. The synthetic streams are recorded by their seed.
With SEMCACHE_DATA naming the data folder, real requests are a stream as well, in a shuffled order;
requests of one group count as one, as if each paraphrase were found (sources and licences:
benchmarks/questions.py). The second table is of answers of all lengths under a limit in bytes,
where what counts is the share of the model's tokens that is saved.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
import json
import math
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core.entries.memory import MemoryEntries
from semcache_core.expiry import RULES
from semcache_core.indexes.scan import ScanIndex
from semcache_core.keys import sha256
from semcache_core.models import Entry
from semcache_core.store import Store

SHARES = (0.02, 0.1)
"""Sizes of the cache, as shares of the distinct requests."""
REAL = ("snips_4_intents", "nlupp_banking", "banking77_train", "clinc150_train", "qqp_pairs")
_BESIDES = 1_650
"""Bytes of an entry beside its answer: the vector and the question."""
Stream = list[str]


def zipf(requests: int, kinds: int, exponent: float, seed: int = 0) -> Stream:
    """Independent requests whose popularity follows Zipf's law."""
    weights = np.arange(1, kinds + 1, dtype=float) ** -exponent
    drawn = np.random.default_rng(seed).choice(kinds, requests, p=weights / weights.sum())
    return [str(kind) for kind in drawn]


def with_scans(stream: Stream, every: int = 500, length: int = 250) -> Stream:
    """The stream, interrupted by requests that come once: a batch job, a crawler."""
    names, mixed = count(), Stream()
    for start in range(0, len(stream), every):
        mixed += stream[start : start + every]
        mixed += [f"scan {next(names)}" for _ in range(length)]
    return mixed


def shifting(requests: int, kinds: int, exponent: float, parts: int = 5) -> Stream:
    """What is popular changes, `parts` times."""
    each = requests // parts
    whole = (zipf(each, kinds, exponent, seed) for seed in range(parts))
    return [f"{part % 3} {name}" for part, stream in enumerate(whole) for name in stream]


def real(folder: Path, name: str) -> Stream:
    """Requests of a data set, shuffled; one name for all wordings of a request."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if "a" in rows[0]:
        found = [row["a"] for row in rows] + [row["a" if row["label"] else "b"] for row in rows]
    else:
        found = [str(row["group"]) for row in rows]
    random.Random(0).shuffle(found)
    return found


def streams(requests: int) -> dict[str, Stream]:
    """All streams, by name."""
    kinds = requests // 4
    made = {f"Zipf {exponent}": zipf(requests, kinds, exponent) for exponent in (0.7, 1.0, 1.3)}
    made["Zipf 1.0 with scans"] = with_scans(made["Zipf 1.0"])
    made["Zipf 1.0, shifting"] = shifting(requests, kinds, 1.0)
    if folder := os.environ.get("SEMCACHE_DATA"):
        made |= {name: real(Path(folder), name) for name in REAL}
    return made


def belady(stream: Stream, places: int) -> float:
    """The hit rate of the offline optimum, for entries of one size."""
    later = {}
    following: list[float] = [math.inf] * len(stream)
    for at in range(len(stream) - 1, -1, -1):
        following[at] = later.get(stream[at], math.inf)
        later[stream[at]] = at
    held: dict[str, float] = {}
    farthest: list[tuple[float, str]] = []
    hits = 0
    for name, again in zip(stream, following, strict=True):
        hits += name in held
        held[name] = again
        heapq.heappush(farthest, (-again, name))
        while len(held) > places:
            when, victim = heapq.heappop(farthest)
            if held.get(victim) == -when:
                del held[victim]
    return hits / len(stream)


def lengths(stream: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Tokens and bytes of each entry: log-normal, with half a kilobyte of answer at the median."""
    drawn = random.Random(0)
    sizes: dict[str, tuple[int, int]] = {}
    for name in stream:
        if name not in sizes:
            tokens = int(min(drawn.lognormvariate(math.log(120), 1.0), 4_000)) + 1
            sizes[name] = tokens, 4 * tokens + _BESIDES
    return sizes


def asked(
    stream: Stream, rule: str, sizes: dict[str, tuple[int, int]], **limits: int
) -> tuple[float, float]:
    """Hit rate, and share of tokens saved, of one rule in a real store."""
    clock = count(1.0)
    now = [0.0]
    record = MemoryEntries()
    store = Store(
        record,
        ScanIndex(record.scope),
        identity="none",
        clock=lambda: now[0],
        eviction=rule,
        **limits,  # type: ignore[arg-type]  # max_entries or max_bytes
    )
    hits = saved = 0
    for name in stream:
        now[0] = next(clock)
        key = sha256(name.encode())
        tokens, size = sizes[name]
        if store.get(key) is not None:
            store.touch(key)
            hits, saved = hits + 1, saved + tokens
        else:
            store.put([_entry(key, size, tokens, now[0])])
    store.close()
    return hits / len(stream), saved / sum(sizes[name][0] for name in stream)


def _entry(key: str, size: int, tokens: int, now: float) -> Entry:
    return Entry(key, "scope", "", b"x" * size, now, tokens=tokens)


def by_entries(stream: Stream, rules: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Hit rates under a limit in entries."""
    alike = dict.fromkeys(stream, (1, 100))
    for share in SHARES:
        places = max(int(len(alike) * share), 10)
        rates = {rule: asked(stream, rule, alike, max_entries=places)[0] for rule in rules}
        yield {"places": places, **rates, "Belady": belady(stream, places)}


def by_bytes(stream: Stream, rules: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Shares of tokens saved under a limit in bytes."""
    sizes = lengths(stream)
    whole = sum(size for _, size in sizes.values())
    for share in SHARES:
        room = int(whole * share)
        rates = {rule: asked(stream, rule, sizes, max_bytes=room) for rule in rules}
        yield {
            "bytes": room,
            **{rule: saved for rule, (_, saved) in rates.items()},
            "hit rates": {rule: hit for rule, (hit, _) in rates.items()},
        }


def main() -> None:
    """Print the tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rules = options.rules.split(",")
    result: dict[str, Any] = {"entries": {}, "bytes": {}}
    all_streams = streams(options.requests)
    for what, measure, columns in (
        ("entries", by_entries, [*rules, "Belady"]),
        ("bytes", by_bytes, rules),
    ):
        print(f"| limit in {what} | requests / distinct | limit | {' | '.join(columns)} |")
        print("|---" * 3 + "|--:" * len(columns) + "|")
        for name, stream in all_streams.items():
            rows = result[what][name] = list(measure(stream, rules))
            for row in rows:
                limit = next(iter(row.values()))
                cells = " | ".join(f"{row[column]:.3f}" for column in columns)
                print(f"| {name} | {len(stream):,} / {len(set(stream)):,} | {limit:,} | {cells} |")
        print()
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
