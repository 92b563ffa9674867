"""Whether an index has what it should have, and finds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from semcache_core.indexes.large import IndexFailed, LargeIndex
from semcache_core.models import Entry
from semcache_core.protocols import EntryStore

SAMPLE = 16
_FEWEST = 0.95
"""An index with fewer than this share of the record's vectors has lost some."""


class Useless(IndexFailed):
    """The index is not to be tested and tried again: it has to be made anew."""


def inspect(index: LargeIndex, record: EntryStore, scopes: Iterable[str], seq: int) -> None:
    """Raise `Useless` for an index that lacks vectors up to `seq`, or does not find its own."""
    counted = sum(record.count(scope) for scope in scopes)
    # By the log, and in this order: what is counted may have been committed a moment ago, and not
    # have reached any memory of this process.
    newer = max(0, record.figures().seq - seq)
    if index.count() < _FEWEST * (counted - newer):
        raise Useless(f"the index has fewer than {_FEWEST:.0%} of the record's vectors")
    oldest = (entry for scope in scopes for entry in islice(record.scope(scope), SAMPLE))
    expect(index, [entry for entry in islice(oldest, SAMPLE) if entry.seq <= seq])


def expect(index: LargeIndex, sample: Sequence[Entry]) -> None:
    """Raise `Useless` unless most of what was written is found.

    Most and not all: a graph may well miss one in a thousand, and what is wedged misses every one.
    """
    if sample and index.missing(sample) > len(sample) // 2:
        raise Useless("the index does not find what was written to it")
