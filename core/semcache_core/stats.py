"""Counters of one cache in one process, and the frozen picture that `cache.stats()` returns."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from semcache_core.models import Hit, Miss, Reason

_KEPT = 2048  # samples a stage: percentiles of the recent past, not of all time


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of one stage over its most recent calls, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Stats:
    """What a cache did since it was opened."""

    lookups: int = 0
    hits: int = 0
    exact_hits: int = 0
    misses: Mapping[str, int] = field(default_factory=dict)
    """Misses by reason (`models.Reason`)."""
    stored: int = 0
    not_stored: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    """Failures that were logged and did not reach the caller, by exception class."""
    tokens_saved: int = 0
    latency: Mapping[str, Latency] = field(default_factory=dict)
    entries: int = 0
    size: int = 0
    """Bytes that count towards `max_bytes`."""

    @property
    def hit_rate(self) -> float:
        """Hits / lookups; 0 before the first lookup."""
        return self.hits / self.lookups if self.lookups else 0.0

    @property
    def semantic_hits(self) -> int:
        return self.hits - self.exact_hits


class Recorder:
    """Counts; every method is safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._hits: Counter[Reason] = Counter()
        self._misses: Counter[Reason] = Counter()
        self._errors: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()
        self._stored = 0
        self._tokens = 0
        self._stages: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def hit(self, hit: Hit, seconds: float) -> None:
        with self._lock:
            self._hits[hit.reason] += 1
            self._tokens += hit.entry.tokens
            self._stages["exact hit" if hit.reason is Reason.EXACT else "semantic hit"].append(
                seconds
            )

    def miss(self, miss: Miss, seconds: float) -> None:
        with self._lock:
            self._misses[miss.reason] += 1
            self._stages["miss"].append(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """Time of one step of a lookup or an update."""
        with self._lock:
            self._stages[name].append(seconds)

    def stored(self) -> None:
        with self._lock:
            self._stored += 1

    def not_stored(self, why: str) -> None:
        with self._lock:
            self._not_stored[why] += 1

    def error(self, error: BaseException) -> None:
        with self._lock:
            self._errors[type(error).__name__] += 1

    def picture(self, *, entries: int = 0, size: int = 0) -> Stats:
        with self._lock:
            hits = sum(self._hits.values())
            return Stats(
                lookups=hits + sum(self._misses.values()),
                hits=hits,
                exact_hits=self._hits[Reason.EXACT],
                misses={reason.value: n for reason, n in self._misses.items()},
                stored=self._stored,
                not_stored=dict(self._not_stored),
                errors=dict(self._errors),
                tokens_saved=self._tokens,
                latency={name: _latency(list(kept)) for name, kept in self._stages.items()},
                entries=entries,
                size=size,
            )


def _latency(samples: list[float]) -> Latency:
    ordered = sorted(samples)
    last = len(ordered) - 1
    return Latency(len(ordered), *(ordered[round(last * q)] for q in (0.5, 0.95, 0.99)))
