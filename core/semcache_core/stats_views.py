"""`Stats` for people: a table in a terminal and in a notebook. Texts are escaped in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from semcache_core.stats import Group, Latency, Stats

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 8
"""Namespaces, or models, that are shown, the busiest first."""
Row = tuple[str, str]


def rich_view(stats: Stats) -> Table:
    """Names and values, one pair a line."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title="semcache", title_justify="left", show_header=False)
    for name, value in _rows(stats):
        made.add_row(Text(name, "bold"), Text(value))
    return made


def html_view(stats: Stats) -> str:
    """The same as an HTML table."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in _rows(stats)
    )
    return f"<table><caption>semcache</caption>{rows}</table>"


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
