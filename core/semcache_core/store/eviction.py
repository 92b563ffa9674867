"""Who has to go when a cache is full.

The record orders its rows itself for "lru", "lfu", "fifo" and "random". The two rules here need
what no column holds, so they look at rows drawn at random and let the worst of them go. That costs
the same in a cache of any size, and takes a little from the hit rate: see docs/benchmarks.md.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from heapq import nlargest
from typing import Protocol

from semcache_core.errors import ConfigError
from semcache_core.expiry import Excess, Limits, take
from semcache_core.models import Usage
from semcache_core.protocols import EntryStore, Sampling
from semcache_core.store.frequency import Sketch

_DRAWN = 1_000
"""Rows drawn at least: a cache of no more is looked at as a whole."""
_DRAWN_EACH = 32
"""Rows drawn for each that has to go, so that what goes is among the worst three of a hundred."""
_EXPIRED = 100
_STEPS = 512
_WINDOW = 100
"""One hundredth of the entries, the newest, is not asked how often it was used: W-TinyLFU's."""
_AVERAGE = 2_048
"""Bytes of an entry, to guess how many a cache holds that is limited in bytes only."""


class Evictor(Protocol):
    """A rule at work in one store."""

    def used(self, key: str) -> None:
        """The entry was put, or served. Cheap: it is called at each request."""

    def victims(self, over: Excess, now: float) -> list[str]:
        """Keys to delete; perhaps not enough yet, but at least one if there is any."""

    def save(self) -> None:
        """Keep what was learnt in the record, for the next process. Raises `StoreError`."""

    def reset(self) -> None:
        """For a forked child."""


def make_evictor(record: EntryStore, limits: Limits) -> Evictor:
    """The rule that `limits` names. Raises `ConfigError` for a record that cannot follow it."""
    if limits.rule not in ("gdsf", "tinylfu"):
        return _Ordered(record, limits.rule)
    if not isinstance(record, Sampling):
        raise ConfigError(
            f"eviction={limits.rule!r} needs a record with sample(), which {type(record).__name__}"
            ' lacks: use "lru", "lfu", "fifo" or "random" with it'
        )
    return GreedyDual(record) if limits.rule == "gdsf" else TinyLfu(record, limits)


class _Ordered:
    """A rule that the record follows by itself."""

    def __init__(self, record: EntryStore, rule: str) -> None:
        self._record, self._rule = record, rule

    def used(self, key: str) -> None:
        """The record counts uses anyway."""

    def victims(self, over: Excess, now: float) -> list[str]:
        return self._record.doomed(self._rule, over.entries, over.size, now)

    def save(self) -> None:
        """Nothing is learnt."""

    def reset(self) -> None:
        """Nothing is held."""


class _Drawn(ABC):
    """Lets the worst of some rows go that were drawn at random."""

    def __init__(self, record: Sampling) -> None:
        self._record = record

    def victims(self, over: Excess, now: float) -> list[str]:
        if gone := self._record.expired(now, max(over.entries, _EXPIRED)):
            return gone
        drawn = self._record.sample(max(_DRAWN, _DRAWN_EACH * over.entries))
        worst = self.ranked(drawn)
        keys = take(((row.key, row.size) for row in worst), over.entries, over.size)
        self.evicted(worst[: len(keys)], now)
        return keys

    @abstractmethod
    def ranked(self, rows: Sequence[Usage]) -> list[Usage]:
        """The rows, first those that should go first."""

    def evicted(self, rows: Sequence[Usage], now: float) -> None:  # noqa: B027  # not all learn
        """These go."""


class GreedyDual(_Drawn):
    """GDSF: keeps what saves most for its room.

    An entry is worth L + uses * tokens / bytes, where L, the worth of what was evicted last, is
    read when the entry is used: so what is not used falls behind. An answer whose tokens are
    unknown counts as one token, and then hits are what is saved. Source: Cherkasova, "Improving
    WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy", HP Labs HPL-98-69R1,
    1998.

    L is kept as the times at which it rose, from which that of an entry's last use is found again:
    no column has to be written at each use.
    """

    _NAME = "eviction.gdsf"

    def __init__(self, record: Sampling) -> None:
        super().__init__(record)
        self._times, self._levels = _steps(record.meta(self._NAME))

    def used(self, key: str) -> None:
        """Uses and their times are in the record."""

    def ranked(self, rows: Sequence[Usage]) -> list[Usage]:
        return sorted(rows, key=self._worth)

    def evicted(self, rows: Sequence[Usage], now: float) -> None:
        level = max((self._worth(row) for row in rows), default=0.0)
        if level > self._levels[-1]:
            self._times.append(max(now, self._times[-1]))
            self._levels.append(level)
        if len(self._times) > _STEPS:
            # Every second of the older half: L is then a little too low for what is long unused.
            del self._times[1 : _STEPS // 2 : 2], self._levels[1 : _STEPS // 2 : 2]

    def save(self) -> None:
        if len(self._times) > 1 and not self._record.read_only:
            self._record.set_meta(self._NAME, json.dumps([self._times, self._levels]))

    def reset(self) -> None:
        """Nothing to replace."""

    def _worth(self, row: Usage) -> float:
        level = self._levels[bisect_right(self._times, row.last_used) - 1]
        return level + (row.uses + 1) * max(row.tokens, 1) / max(row.size, 1)


def _steps(text: str | None) -> tuple[list[float], list[float]]:
    """Times and levels; from the beginning if what was kept cannot be read."""
    try:
        times, levels = (list(map(float, part)) for part in json.loads(text or "[[],[]]"))
    except (ValueError, TypeError):
        times, levels = [], []
    usable = len(times) == len(levels) and all(map(math.isfinite, levels))
    if not (times and usable and times == sorted(times) and levels == sorted(levels)):
        return [-math.inf], [0.0]
    return [-math.inf, *times[1:]], levels


class TinyLfu(_Drawn):
    """W-TinyLFU: what was asked for least often lately goes, but for the newest hundredth.

    Requests are counted in a sketch, which also remembers what is gone, so that what comes back
    again and again gets in, and what is asked for once does not push out what is asked for often.
    """

    _NAME = "eviction.tinylfu"

    def __init__(self, record: Sampling, limits: Limits) -> None:
        super().__init__(record)
        by_size = max((limits.max_bytes or 0) // _AVERAGE, _DRAWN)
        self._requests = Sketch(min(limits.max_entries or by_size, 10_000_000))
        if kept := record.meta(self._NAME):
            self._requests.load(kept)

    def used(self, key: str) -> None:
        self._requests.add(key)

    def ranked(self, rows: Sequence[Usage]) -> list[Usage]:
        window = nlargest(max(len(rows) // _WINDOW, 1), rows, key=lambda row: row.last_used)
        newest = {row.key for row in window}
        return sorted(rows, key=lambda row: (row.key in newest, *self._order(row)))

    def save(self) -> None:
        if not self._record.read_only:
            self._record.set_meta(self._NAME, self._requests.dump())

    def reset(self) -> None:
        self._requests.reset()

    def _order(self, row: Usage) -> tuple[int, bool, float]:
        """Of entries asked for equally often those go first that were never served.

        Of these the newest, as TinyLFU admits nothing that is not asked for more often than what
        it would replace; of the others the one that was not served for longest.
        """
        served = row.uses > 0
        latest = row.last_used if served else -row.last_used
        return self._requests.count(row.key), served, latest
