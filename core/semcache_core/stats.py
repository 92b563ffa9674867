"""Counters of one cache in one process; `Recorder.picture` is what `cache.stats()` returns."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType

from semcache_core import telemetry
from semcache_core.errors import ConfigError
from semcache_core.models import Hit, Miss, Reason
from semcache_core.picture import NEAR_MISS, WOULD_HIT, Audit, Group, Latency, Stats

__all__ = ["OTHERS", "Audit", "Group", "Latency", "Recorder", "Stats", "checked_prices"]

_KEPT = 2048  # samples a stage: percentiles of the recent past, not of all time
_GROUPS = 1000
"""Namespaces, and models, that are counted apart: a tenant for each user must not fill memory."""
OTHERS = "(others)"
_BATCH = 256
"""Hits that are noted before they are added up: for one alone that takes three times as long."""
_EXACT, _SEMANTIC = "exact hit", "semantic hit"


def checked_prices(prices: Mapping[str, float] | None) -> Mapping[str, float]:
    """A copy that cannot be changed; raises `ConfigError` for what are no prices."""
    if prices is None:
        return MappingProxyType({})
    if not isinstance(prices, Mapping):
        raise ConfigError(f"prices: {prices!r} was given; give {{model: price of 10^6 tokens}}")
    for model, price in prices.items():
        plain = isinstance(price, int | float) and not isinstance(price, bool)
        if not isinstance(model, str) or not plain or not 0 <= price < math.inf:
            raise ConfigError(
                f"prices: {model!r}: {price!r} was given; give a number of at least 0, the price "
                "of a million tokens"
            )
    return MappingProxyType(dict(prices))


@dataclass(slots=True)
class _Counted:
    lookups: int = 0
    hits: int = 0
    tokens: int = 0

    def group(self) -> Group:
        return Group(self.lookups, self.hits, self.tokens)


class Recorder:
    """Counts; every method is safe to call from any thread."""

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self.prices = checked_prices(prices)
        self.budget: Callable[[], str] = str  # says nothing, until a policy with a budget is known
        self._lock = Lock()
        self._new: deque[tuple[str, int, str, str, float]] = deque()
        self._hits = {_EXACT: 0, _SEMANTIC: 0}  # by text: an Enum takes longer to hash
        self._misses: Counter[Reason] = Counter()
        self._errors: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()
        self._audit: Counter[str] = Counter()
        self._stored = 0
        self._tokens = 0
        self._stages: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._namespaces: dict[str, _Counted] = {}
        self._models: dict[str, _Counted] = {}
        self._both: dict[tuple[str, str], tuple[_Counted, _Counted]] = {}

    def hit(self, hit: Hit, seconds: float) -> None:
        stage = _EXACT if hit.reason is Reason.EXACT else _SEMANTIC
        prompt = hit.prompt
        self._new.append((stage, hit.entry.tokens, prompt.namespace, prompt.model, seconds))
        if len(self._new) >= _BATCH:
            with self._lock:
                self._count()

    def _count(self) -> None:
        """Add up the hits that were noted since the last time; the lock is held."""
        while self._new:
            stage, tokens, namespace, model, seconds = self._new.popleft()
            self._hits[stage] += 1
            self._tokens += tokens
            self._stages[stage].append(seconds)
            for counted in self._counted(namespace, model):
                counted.lookups += 1
                counted.hits += 1
                counted.tokens += tokens

    def miss(self, miss: Miss, seconds: float) -> None:
        with self._lock:
            self._misses[miss.reason] += 1
            self._stages["miss"].append(seconds)
            for counted in self._counted(miss.prompt.namespace, miss.prompt.model):
                counted.lookups += 1

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
        telemetry.failed(error)

    def label(self, reason: Reason, correct: bool) -> None:
        """A fresh answer was compared with the candidate's of a lookup that ended so."""
        name = "would" if reason in WOULD_HIT else "miss" if reason in NEAR_MISS else ""
        with self._lock:
            self._audit[name] += 1
            self._audit[f"{name} right"] += correct

    def reported(self) -> None:
        """Somebody reported a hit as wrong."""
        with self._lock:
            self._audit["reported"] += 1

    def picture(
        self, *, entries: int = 0, size: int = 0, prices: Mapping[str, float] | None = None
    ) -> Stats:
        given = self.prices if prices is None else checked_prices(prices)
        budget = self.budget()
        with self._lock:
            self._count()
            hits = sum(self._hits.values())
            return Stats(
                lookups=hits + sum(self._misses.values()),
                hits=hits,
                exact_hits=self._hits[_EXACT],
                misses={reason.value: n for reason, n in self._misses.items()},
                stored=self._stored,
                not_stored=dict(self._not_stored),
                errors=dict(self._errors),
                tokens_saved=self._tokens,
                latency={name: _latency(list(kept)) for name, kept in self._stages.items()},
                entries=entries,
                size=size,
                namespaces={name: one.group() for name, one in self._namespaces.items()},
                models={name: one.group() for name, one in self._models.items()},
                audit=self._audited(),
                budget=budget,
                prices=given,
            )

    def _counted(self, namespace: str, model: str) -> tuple[_Counted, _Counted]:
        both = self._both.get((namespace, model))
        if both is None:
            both = _of(self._namespaces, namespace), _of(self._models, model)
            if len(self._both) < _GROUPS:
                self._both[namespace, model] = both
        return both

    def _audited(self) -> Audit:
        seen = self._audit
        return Audit(
            seen["would"], seen["would right"], seen["miss"], seen["miss right"], seen["reported"]
        )


def _of(groups: dict[str, _Counted], name: str) -> _Counted:
    found = groups.get(name)
    if found is None:
        name = name if len(groups) < _GROUPS else OTHERS
        found = groups.setdefault(name, _Counted())
    return found


def _latency(samples: list[float]) -> Latency:
    ordered = sorted(samples)
    last = len(ordered) - 1
    return Latency(len(ordered), *(ordered[round(last * q)] for q in (0.5, 0.95, 0.99)))
