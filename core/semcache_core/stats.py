"""Counters of one cache in one process, and the frozen picture that `cache.stats()` returns."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any

from semcache_core import telemetry
from semcache_core.errors import ConfigError
from semcache_core.models import Hit, Miss, Reason

_KEPT = 2048  # samples a stage: percentiles of the recent past, not of all time
_GROUPS = 1000
"""Namespaces, and models, that are counted apart: a tenant for each user must not fill memory."""
OTHERS = "(others)"
_WOULD_HIT = (Reason.SHADOW, Reason.EXPLORED)
_NEAR_MISS = (Reason.BELOW, Reason.UNCERTIFIED)
"""Misses that had a candidate which nothing but the policy kept back."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of one stage over its most recent calls, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Group:
    """The part of one namespace, or of one model."""

    lookups: int = 0
    hits: int = 0
    tokens_saved: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits / lookups; 0 before the first lookup."""
        return self.hits / self.lookups if self.lookups else 0.0


@dataclass(frozen=True, slots=True)
class Audit:
    """What comparisons of fresh answers with stored ones have told: free labels."""

    would_hits: int = 0
    """Compared answers that would have been served (shadow mode, exploration)."""
    would_right: int = 0
    misses: int = 0
    """Compared answers that the threshold kept back."""
    misses_right: int = 0
    reported: int = 0
    """Hits that `report_wrong` was told of."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a cache did since it was opened. Shown as a table by rich and by notebooks."""

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
    namespaces: Mapping[str, Group] = field(default_factory=dict)
    models: Mapping[str, Group] = field(default_factory=dict)
    audit: Audit = field(default_factory=Audit)
    budget: str = ""
    """Where a false-hit budget stands, in a sentence; empty without one."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Given by the user: for a million tokens, by model; "*" is any other."""

    @property
    def hit_rate(self) -> float:
        """Hits / lookups; 0 before the first lookup."""
        return self.hits / self.lookups if self.lookups else 0.0

    @property
    def semantic_hits(self) -> int:
        return self.hits - self.exact_hits

    @property
    def missed(self) -> int:
        """Lookups that were not answered."""
        return self.lookups - self.hits

    @property
    def precision(self) -> float | None:
        """Estimated share of semantic hits that are right, from those that were audited.

        None without audits: only shadow mode and learning policies compare what they would serve.
        """
        audit = self.audit
        return audit.would_right / audit.would_hits if audit.would_hits else None

    @property
    def recall(self) -> float | None:
        """Estimated hits / lookups that had an acceptable entry; None where nothing is known.

        Of the misses that had a candidate below the threshold, those are taken for missed whose
        fresh answer was the candidate's, in the share found among the compared ones. In shadow mode
        what would have been served counts as hits. A lower share comes of a strict judge, which
        takes answers in other words for different ones.
        """
        if not self.audit.misses and not self.audit.would_hits:
            return None
        share = self.audit.misses_right / self.audit.misses if self.audit.misses else 0.0
        missed = share * sum(self.misses.get(reason.value, 0) for reason in _NEAR_MISS)
        would = sum(self.misses.get(reason.value, 0) for reason in _WOULD_HIT)
        right = (1.0 if self.precision is None else self.precision) * (self.semantic_hits + would)
        good = self.exact_hits + right
        return good / (good + missed) if good + missed else None

    @property
    def money_saved(self) -> float | None:
        """Tokens saved times their models' prices; None if no price is known for any."""
        known = [
            group.tokens_saved / _MILLION * self.prices.get(model, self.prices.get("*", math.nan))
            for model, group in self.models.items()
        ]
        priced = [saved for saved in known if not math.isnan(saved)]
        return math.fsum(priced) if priced else None

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values, derived figures included."""
        names = ("hit_rate", "semantic_hits", "missed", "precision", "recall", "money_saved")
        told: dict[str, Any] = {name: getattr(self, name) for name in names}
        plain = {name: getattr(self, name) for name in Stats.__slots__}
        for name, value in plain.items():
            if isinstance(value, Mapping):
                plain[name] = {key: _plain(one) for key, one in value.items()}
        return plain | {"audit": asdict(self.audit)} | told

    def __rich__(self) -> Any:
        """A table for rich's print."""
        from semcache_core.stats_views import rich_view

        return rich_view(self)

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from semcache_core.stats_views import html_view

        return html_view(self)


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Latency | Group) else value


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
        self._hits: Counter[Reason] = Counter()
        self._misses: Counter[Reason] = Counter()
        self._errors: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()
        self._audit: Counter[str] = Counter()
        self._stored = 0
        self._tokens = 0
        self._stages: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._namespaces: dict[str, _Counted] = {}
        self._models: dict[str, _Counted] = {}

    def hit(self, hit: Hit, seconds: float) -> None:
        tokens = hit.entry.tokens
        stage = "exact hit" if hit.reason is Reason.EXACT else "semantic hit"
        with self._lock:
            self._hits[hit.reason] += 1
            self._tokens += tokens
            self._stages[stage].append(seconds)
            for counted in self._counted(hit.prompt.namespace, hit.prompt.model):
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
        name = "would" if reason in _WOULD_HIT else "miss" if reason in _NEAR_MISS else ""
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
                namespaces={name: one.group() for name, one in self._namespaces.items()},
                models={name: one.group() for name, one in self._models.items()},
                audit=self._audited(),
                budget=budget,
                prices=given,
            )

    def _counted(self, namespace: str, model: str) -> tuple[_Counted, _Counted]:
        return _of(self._namespaces, namespace), _of(self._models, model)

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
