"""What a cache did, as frozen values: what `cache.stats()` returns, and what is shown of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from semcache_core.models import Reason
from semcache_core.tables import Row, html_table, rich_table

WOULD_HIT = (Reason.SHADOW, Reason.EXPLORED)
NEAR_MISS = (Reason.BELOW, Reason.UNCERTIFIED)
"""Misses that had a candidate which nothing but the policy kept back."""
_MILLION = 1_000_000
_SHOWN = 8
"""Namespaces, or models, that are shown, the busiest first."""


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
        missed = share * sum(self.misses.get(reason.value, 0) for reason in NEAR_MISS)
        would = sum(self.misses.get(reason.value, 0) for reason in WOULD_HIT)
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
        return rich_table("semcache", _rows(self))

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        return html_table("semcache", _rows(self))


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Latency | Group) else value


def _rows(stats: Stats) -> Iterator[Row]:
    yield "lookups", str(stats.lookups)
    hits = f"{stats.hits} ({stats.hit_rate:.1%}): "
    yield "hits", f"{hits}{stats.exact_hits} exact, {stats.semantic_hits} semantic"
    yield "misses", _counts(stats.misses, stats.missed)
    yield "precision, estimated", _share(stats.precision)
    yield "recall, estimated", _share(stats.recall)
    if stats.budget:
        yield "budget", stats.budget
    yield "tokens saved", f"{stats.tokens_saved:,}"
    if stats.money_saved is not None:
        yield "money saved", _money(stats.money_saved)
    yield "stored", f"{stats.stored:,}"
    if stats.not_stored:
        yield "not stored", _counts(stats.not_stored, sum(stats.not_stored.values()))
    if stats.errors:
        yield "failures", _counts(stats.errors, sum(stats.errors.values()))
    yield "entries", f"{stats.entries:,} with {_size(stats.size)}"
    for stage, latency in stats.latency.items():
        yield f"time of {stage}", _latency(latency)
    yield from _groups("namespace", stats.namespaces)
    yield from _groups("model", stats.models)


def _counts(counts: Mapping[str, int], total: int) -> str:
    said = ", ".join(f"{count} {why}" for why, count in _largest(counts))
    if not said:
        return "0"
    return f"{total}: {said}" if total else said


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: -one[1])


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _money(value: float) -> str:
    """With millionths of what is less than a cent, which is what the first hits save."""
    return f"{value:,.2f}" if value >= 0.01 or not value else f"{value:.6f}"


def _size(count: int) -> str:
    if count < 1e6:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:,.1f} MB"


def _latency(latency: Latency) -> str:
    shown = (f"{1e3 * value:.2f}" for value in (latency.p50, latency.p95, latency.p99))
    return f"{' / '.join(shown)} ms (median, p95, p99 of {latency.count})"


def _groups(what: str, groups: Mapping[str, Group]) -> Iterator[Row]:
    if set(groups) <= {""}:
        return
    busiest: list[tuple[str, Any]] = sorted(groups.items(), key=lambda one: -one[1].lookups)
    for name, group in busiest[:_SHOWN]:
        said = f"{group.hits} of {group.lookups} ({group.hit_rate:.1%})"
        yield f"{what} {name or '(unnamed)'}", f"{said}, {group.tokens_saved:,} tokens saved"
    if len(groups) > _SHOWN:
        yield f"{what}s", f"and {len(groups) - _SHOWN} more"
