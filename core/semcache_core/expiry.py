"""When an entry expires and what has to make room for a put. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from semcache_core.errors import ConfigError
from semcache_core.models import Entry, Figures

Rule = Literal["lru", "lfu", "fifo", "random", "gdsf", "tinylfu"]
RULES: tuple[str, ...] = get_args(Rule)
ORDERED: tuple[str, ...] = RULES[:4]
"""Those by which a record orders its rows; the others are `store.eviction`'s."""

_SLACK_SHARE = 50
"""One fiftieth more than needed is evicted, so that a full cache does not evict at each put."""
_SLACK_CAP = 256
"""But never more than so many entries, so that no single put pays for a long eviction."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a cache may hold; None: no limit. Raises `ConfigError` for what cannot work."""

    max_entries: int | None = None
    max_bytes: int | None = None
    rule: str = "lru"
    """Who goes first, one of `RULES`; entries that expired go before all."""
    max_entry_bytes: int | None = None
    """What a single entry may take; a larger one is not kept."""

    def __post_init__(self) -> None:
        for name in ("max_entries", "max_bytes", "max_entry_bytes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or value < 1):
                raise ConfigError(f"{name} is a number of at least 1, or None; got {value!r}")
        check_rule(self.rule)


@dataclass(frozen=True, slots=True)
class Excess:
    """What has to go, in entries and in bytes; the larger of the two demands counts."""

    entries: int
    size: int


def check_rule(rule: str, known: Sequence[str] = RULES) -> None:
    """Raise `ConfigError` unless `rule` is one of those that are known."""
    if rule not in known:
        raise ConfigError(f"eviction is one of {', '.join(known)}; got {rule!r}")


def check_ttl(ttl: float | None) -> None:
    """Raise `ConfigError` unless `ttl` is a positive number of seconds, or None for no end."""
    if ttl is not None and not (isinstance(ttl, int | float) and ttl > 0):
        raise ConfigError(f"ttl is a positive number of seconds, or None; got {ttl!r}")


def dated(entry: Entry, ttl: float | None) -> Entry:
    """The entry with its end: its own, else `ttl` seconds after its creation, else none.

    An entry whose own end is infinite outlives any `ttl`.
    """
    end = entry.expires
    if end is None and ttl is not None:
        end = entry.created + ttl
    if end is not None and math.isinf(end):
        end = None
    return replace(entry, expires=end, last_used=entry.last_used or entry.created)


def admitted(entries: Sequence[Entry], limits: Limits) -> list[Entry]:
    """Those of a batch that can be kept at once: each fits, and so do the last ones together."""
    room = math.inf if limits.max_bytes is None else limits.max_bytes
    places = math.inf if limits.max_entries is None else limits.max_entries
    largest = math.inf if limits.max_entry_bytes is None else limits.max_entry_bytes
    kept: list[Entry] = []
    for entry in reversed(entries):
        if len(kept) < places and entry.size <= min(room, largest):
            kept.append(entry)
            room -= entry.size
    return kept[::-1]


def excess(figures: Figures, batch: Sequence[Entry], limits: Limits) -> Excess | None:
    """What has to go BEFORE `batch` is put, or None.

    Before and not after: with "lfu", the newest entry would always be the first to go.
    """
    count = figures.count + len(batch)
    size = figures.size + sum(entry.size for entry in batch)
    over = 0 if limits.max_entries is None else count - limits.max_entries
    over_size = 0 if limits.max_bytes is None else size - limits.max_bytes
    if over <= 0 and over_size <= 0:
        return None
    return Excess(
        entries=min(over + _slack(limits.max_entries), figures.count) if over > 0 else 0,
        size=over_size + _slack_bytes(limits.max_bytes, count, size) if over_size > 0 else 0,
    )


def _slack(limit: int | None) -> int:
    return min((limit or 0) // _SLACK_SHARE, _SLACK_CAP)


def _slack_bytes(limit: int | None, count: int, size: int) -> int:
    """The same in bytes, for entries of average size; less than one entry is none."""
    average = max(size // count, 1)
    return min((limit or 0) // _SLACK_SHARE // average, _SLACK_CAP) * average


def take(ordered: Iterable[tuple[str, int]], excess: int, excess_bytes: int) -> list[str]:
    """The first keys of (key, size) pairs that make up for the excess in both measures."""
    keys: list[str] = []
    for key, size in ordered:
        if excess <= 0 and excess_bytes <= 0:
            break
        keys.append(key)
        excess -= 1
        excess_bytes -= size
    return keys
