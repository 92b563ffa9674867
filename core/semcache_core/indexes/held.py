"""The index that is held at present: how far it followed the record, noted and tested."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from semcache_core.indexes.inspection import SAMPLE, expect
from semcache_core.indexes.large import LargeIndex
from semcache_core.models import Change
from semcache_core.protocols import EntryStore

_SAVE_EVERY = 2.0
_CHECK_EVERY = 500
"""Vectors written between two looks whether the newest are found."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What searches may use: an index, and the scopes it is complete for, save for the tails."""

    index: LargeIndex
    scopes: frozenset[str]


@dataclass(slots=True)
class Held:
    """An index with the scopes it is for, and the seq up to which it followed the record."""

    index: LargeIndex
    scopes: set[str]
    seq: int
    unchecked: int = 0
    saved: float = 0.0

    def serving(self) -> Serving:
        """It as it is now, for searches."""
        return Serving(self.index, frozenset(self.scopes))

    def check(self, written: Sequence[Change]) -> None:
        """Now and then, see that what is written can be found."""
        self.unchecked += len(written)
        if self.unchecked >= _CHECK_EVERY:
            self.unchecked = 0
            newest = [change.entry for change in written if change.entry is not None]
            expect(self.index, newest[-SAMPLE:])

    def save(self, record: EntryStore, *, now: bool = False) -> None:
        """Note with the index how far it is, unless that was done a moment ago."""
        due = now or time.monotonic() - self.saved > _SAVE_EVERY
        if due and self.index.state.seq != self.seq:
            self.index.save(self.seq, sorted(self.scopes), record_id(record))
            self.saved = time.monotonic()


def record_id(record: EntryStore) -> str:
    """A name of the record's own, which a copy or a new one under the same path lacks."""
    while not (name := record.meta("id")):
        record.swap_meta("id", name, uuid.uuid4().hex)
    return name
