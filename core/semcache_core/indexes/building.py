"""Writing whole scopes of the record to an index, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from semcache_core.indexes.inspection import SAMPLE
from semcache_core.indexes.large import LargeIndex
from semcache_core.models import Change, Entry
from semcache_core.protocols import EntryStore


class Building:
    """One such piece of work; `fresh` if the index will take the place of the present one.

    The index will be complete for its scopes up to `seq`. What is committed after that has to be
    followed from the record's log, also where a page has it already.
    """

    def __init__(
        self, record: EntryStore, index: LargeIndex, scopes: Sequence[str], seq: int, fresh: bool
    ) -> None:
        self.index, self.scopes, self.seq, self.fresh = index, list(scopes), seq, fresh
        self._entries: Iterator[Entry] = (
            entry for scope in self.scopes for entry in record.scope(scope)
        )
        self._total = sum(record.count(scope) for scope in scopes)
        self._done = 0
        self.sample: list[Entry] = []
        """Some of what was written last."""

    @property
    def percent(self) -> int:
        """How much is done."""
        return min(100 * self._done // max(self._total, 1), 100)

    def write(self, count: int) -> bool:
        """Write the next `count` entries; whether there were any left."""
        page = list(islice(self._entries, count))
        if page:
            self.index.apply([Change(one.seq, one.key, one.scope, one) for one in page])
            self._done += len(page)
            self.sample = page[:SAMPLE]
        return bool(page)
