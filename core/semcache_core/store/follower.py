"""Keeps what this process holds in memory, and its index, in step with the record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from semcache_core.errors import ConfigError, StoreError, StoreReplaced
from semcache_core.models import Change, Entry
from semcache_core.protocols import EntryStore, Exchangeable, VectorIndex
from semcache_core.redaction import redacted
from semcache_core.store.hot import HotTier

_log = logging.getLogger(__name__)

LINES = 1_000
"""Changes of others that one lookup catches up on; beyond, reading anew is cheaper."""


class Follower:
    """Applies this process's own changes at once, and others' when it looks for them.

    `seen` is the seq up to which all changes were applied. Thread-safe.
    """

    def __init__(
        self,
        record: EntryStore,
        index: VectorIndex,
        hot: HotTier,
        poll: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._record, self._index, self._hot = record, index, hot
        self._exchangeable = record if isinstance(record, Exchangeable) else None
        self._poll, self._failed = poll, failed
        self._locks()
        self._seen = record.figures().seq
        self._generation = self._current_generation()
        self._fresh_until = time.monotonic() + poll
        self.restarts = 0
        """How often all was forgotten, as too much had changed."""

    def _locks(self) -> None:
        self._looking = threading.Lock()
        self._counting = threading.Lock()

    @property
    def fresh(self) -> bool:
        """Whether it is too early to look for others' changes again."""
        return not self._record.shared or time.monotonic() < self._fresh_until

    @property
    def exchanged(self) -> bool:
        """Whether the record turned out to be another one."""
        return self._current_generation() != self._generation

    def _current_generation(self) -> int:
        return 0 if self._exchangeable is None else self._exchangeable.generation

    def look(self) -> None:
        """Apply others' changes, unless that was done less than `poll` seconds ago."""
        if self.fresh:
            return
        with self._looking:
            if not self.fresh:
                self.catch_up()
                self._fresh_until = time.monotonic() + self._poll

    def catch_up(self) -> None:
        """Apply all changes of the record that were not seen yet. Raises `StoreError`."""
        seen = self._seen  # before the figures: a put of this process may be between the two
        seq = self._record.figures().seq
        if self.exchanged:
            self._generation = self._current_generation()
            self._failed(StoreReplaced("the record is not the one that was opened"))
            self._start_anew(seq)
            return
        if seq == seen:
            return
        changes = self._record.changes(seen, LINES) if seq > seen else None
        if changes is None or len(changes) == LINES:
            self._start_anew(seq)
            return
        self._hot.follow(changes)
        self._apply(changes)
        with self._counting:
            self._seen = max(self._seen, seq)

    def written(self, entries: Sequence[Entry], epoch: int) -> None:
        """This process committed entries; `epoch` is the hot tier's from before that."""
        changes = [Change(entry.seq, entry.key, entry.scope, entry) for entry in entries]
        self._apply(changes)
        self._own(changes)
        self._hot.add(entries, epoch)

    def deleted(self, changes: Sequence[Change]) -> None:
        """This process committed deletions."""
        if changes:
            self._hot.follow(changes)
            self._apply(changes)
            self._own(changes)

    def fetch(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Read rows, and keep them at hand. Raises `StoreError`."""
        epoch = self._hot.epoch
        rows = self._record.get(keys)
        self._hot.add(rows.values(), epoch)
        return rows

    def reset(self) -> None:
        """For a forked child, whose parent may have held the locks."""
        self._locks()
        self._hot.reset()

    def _start_anew(self, seq: int) -> None:
        with self._counting:
            self._seen = seq
            self.restarts += 1
        self._hot.clear()
        self._index.clear()

    def _apply(self, changes: Sequence[Change]) -> None:
        try:
            self._index.apply(changes)
        except (StoreError, ConfigError) as error:
            # The rows are committed, and that is what was asked for. An index that failed says
            # so in `Store.health`, and is made anew from the record.
            _log.warning("semcache: the index could not follow the record: %s", redacted(error))
            self._failed(error)

    def _own(self, changes: Sequence[Change]) -> None:
        """Seen, unless others' changes stand between: then all of it is looked at again."""
        with self._counting:
            if changes[0].seq == self._seen + 1:
                self._seen = changes[-1].seq
