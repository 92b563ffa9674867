"""What is aimed at, as ratios of medians of one run; a figure that was not measured is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

CORE, DISK, WHOLE = "semcache, memory", "semcache, disk", "semcache with embedding"
GPTCACHE, MAP = "GPTCache sqlite+faiss", "GPTCache map"
FILTER, PLAIN = "Chroma with a filter", "Chroma, no filter"
ENCODE, EMBEDDER = "floor: SentenceTransformer.encode", "floor: semcache's embedder"
INVOKE, MEMORY = "LangChain, semcache", "LangChain, InMemoryCache"


@dataclass(frozen=True)
class Bar:
    """`value` should be at most `most`, or at least `least`."""

    what: str
    value: float
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )


class Run:
    """Looks figures up in a run."""

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result

    def p50(self, name: str, op: str, count: int) -> float:
        """Microseconds; raises `KeyError` if it was not measured."""
        return float(self._subject(name, count)["operations"][op]["p50"])

    def crowd(self, name: str, what: str, count: int) -> dict[str, float]:
        """Figures of threads."""
        found: dict[str, float] = self._subject(name, count)["crowds"][what]
        return found

    def memory(self, name: str, count: int) -> float:
        """Bytes an entry."""
        return float(self._subject(name, count)["memory_bytes"])

    def ratio(self, name: str, op: str, count: int, other: str, other_op: str = "") -> float:
        """Median by median."""
        return self.p50(name, op, count) / self.p50(other, other_op or op, count)

    def growth(self, name: str, op: str) -> float:
        """From 10,000 to 100,000 entries."""
        return self.p50(name, op, 100_000) / self.p50(name, op, 10_000)

    def _subject(self, name: str, count: int) -> dict[str, Any]:
        for group in self.result["sizes"][str(count)].values():
            if name in group:
                return dict(group[name])
        raise KeyError(name)


Line = tuple[str, Callable[[Run], float], dict[str, float]]

LINES: tuple[Line, ...] = (
    (
        "semantic hit with its embedding at 10k / bare encode",
        lambda r: r.ratio(WHOLE, "semantic", 10_000, ENCODE),
        {"most": 0.6},
    ),
    (
        "semantic hit with its embedding at 10k / the embedding",
        lambda r: r.ratio(WHOLE, "semantic", 10_000, EMBEDDER),
        {"most": 1.5},
    ),
    (
        "embedding / bare encode",
        lambda r: r.ratio(EMBEDDER, "semantic", 10_000, ENCODE),
        {"most": 0.45},
    ),
    (
        "semantic hit after the embedding at 10k / GPTCache's",
        lambda r: r.ratio(DISK, "semantic", 10_000, GPTCACHE),
        {"most": 0.2},
    ),
    (
        "semantic hit at 100k in one scope / plain Chroma query",
        lambda r: r.ratio(DISK, "semantic", 100_000, PLAIN),
        {"most": 1.5},
    ),
    (
        "semantic hit at 100k in one scope / Chroma query with a filter",
        lambda r: r.ratio(DISK, "semantic", 100_000, FILTER),
        {"most": 0.05},
    ),
    (
        "exact hit at 10k / a dict",
        lambda r: r.ratio(CORE, "exact", 10_000, "floor: dict"),
        {"most": 10},
    ),
    (
        "exact hit at 10k / GPTCache's map",
        lambda r: r.ratio(CORE, "exact", 10_000, MAP),
        {"most": 1},
    ),
    (
        "durable put at 10k / GPTCache's",
        lambda r: r.ratio(DISK, "put", 10_000, GPTCACHE),
        {"most": 0.5},
    ),
    (
        "miss beyond the embedding at 10k, ms",
        lambda r: r.p50(DISK, "miss", 10_000) / 1e3,
        {"most": 1},
    ),
    ("exact hit, 10k to 100k", lambda r: r.growth(DISK, "exact"), {"most": 2}),
    (
        "semantic hit after the embedding, 10k to 100k",
        lambda r: r.growth(DISK, "semantic"),
        {"most": 2},
    ),
    (
        "semantic hit with its embedding, 10k to 100k",
        lambda r: r.growth(WHOLE, "semantic"),
        {"most": 2},
    ),
    ("miss after the embedding, 10k to 100k", lambda r: r.growth(DISK, "miss"), {"most": 2}),
    ("put, 10k to 100k", lambda r: r.growth(DISK, "put"), {"most": 2}),
    (
        "32 threads at 10k: semantic hits a second / GPTCache's",
        lambda r: _rate(r, DISK) / _rate(r, GPTCACHE),
        {"least": 10},
    ),
    (
        "32 threads at 10k: p99 / p50 of a semantic hit",
        lambda r: _tail(r, DISK),
        {"most": 5},
    ),
    (
        "32 threads at 10k: p99 / p50 of a semantic hit with its embedding",
        lambda r: _tail(r, WHOLE),
        {"most": 5},
    ),
    (
        "import langchain_semcache beyond langchain_core.caches, s",
        lambda r: _import(r, "langchain_semcache") - _import(r, "langchain_core.caches"),
        {"most": 0.15},
    ),
    (
        "memory an entry at 100k on disk, beyond its payload of 850 bytes",
        lambda r: r.memory(DISK, 100_000) - 850,
        {"most": 4000},
    ),
    (
        "memory an entry at 100k in memory, beyond its payload of 850 bytes",
        lambda r: r.memory(CORE, 100_000) - 850,
        {"most": 4000},
    ),
    (
        "exact hit through LangChain's invoke at 10k / InMemoryCache",
        lambda r: r.ratio(INVOKE, "exact", 10_000, MEMORY),
        {"most": 1.3},
    ),
)


def _rate(run: Run, name: str) -> float:
    return run.crowd(name, "semantic, 32 threads", 10_000)["per_s"]


def _tail(run: Run, name: str) -> float:
    found = run.crowd(name, "semantic, 32 threads", 10_000)
    return found["p99"] / found["p50"]


def _import(run: Run, name: str) -> float:
    return float(run.result["imports"][name])


def bars(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that this run has the figures for."""
    return [asdict(bar) | {"met": bar.met} for bar in _found(Run(result))]


def _found(run: Run) -> Iterator[Bar]:
    for what, value, limit in LINES:
        try:
            yield Bar(what, value(run), **limit)
        except KeyError:
            continue
