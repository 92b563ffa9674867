"""What one transaction does to the record's tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from semcache_core.entries.questions import Questions, chunks
from semcache_core.entries.rows import to_row
from semcache_core.entries.statements import writes
from semcache_core.entries.tables import Tables
from semcache_core.models import Change, Entry

_LOG_KEPT = 100_000
"""Tombstones this far behind the newest seq are trimmed."""


class Transactions:
    """Writes; each method is one transaction, which its caller begins and commits.

    All take the next seq first: the row that this locks puts commits in order.
    """

    def __init__(self, tables: Tables, questions: Questions) -> None:
        self._writes = writes(tables)
        self._questions, self._reads = questions, questions.reads

    def touch(self, connection: Connection, uses: list[dict[str, Any]]) -> None:
        connection.execute(self._writes.touch, uses)

    def start(self, connection: Connection) -> None:
        """The one row of state."""
        nothing = {"seq": 0, "entries": 0, "size_bytes": 0, "trimmed": 0}
        connection.execute(self._writes.start, {"id": 1, **nothing})

    def advance(self, connection: Connection, n: int) -> int:
        """Take n seq; returns the one before the first."""
        connection.execute(self._writes.advance, {"n": n})
        return int(connection.execute(self._reads.state).one().seq) - n

    def put(self, connection: Connection, entries: list[Entry]) -> list[Entry]:
        seq = self.advance(connection, len(entries))
        committed = [entry.at(seq + place) for place, entry in enumerate(entries, start=1)]
        removed = self._remove(connection, [entry.key for entry in entries])
        connection.execute(self._writes.insert, [to_row(entry) for entry in committed])
        self._tally(
            connection,
            len(entries) - len(removed),
            sum(entry.size for entry in entries) - sum(row.size_bytes for row in removed),
        )
        return committed

    def bury(self, connection: Connection, keys: list[str]) -> list[Change]:
        self.advance(connection, 0)
        removed = self._remove(connection, keys)
        if not removed:
            return []
        seq = self.advance(connection, len(removed))
        changes = [
            Change(seq + place, row.key, row.scope) for place, row in enumerate(removed, start=1)
        ]
        connection.execute(
            self._writes.bury,
            [{"seq": one.seq, "key": one.key, "scope": one.scope} for one in changes],
        )
        self._tally(connection, -len(removed), -sum(row.size_bytes for row in removed))
        self._trim(connection)
        return changes

    def _remove(self, connection: Connection, keys: list[str]) -> list[Row[Any]]:
        """Delete; returns key, scope and size of the rows that existed."""
        removed: list[Row[Any]] = []
        for part in chunks(keys):
            if found := connection.execute(self._reads.existing, {"keys": part}).all():
                connection.execute(self._writes.remove, {"keys": part})
                removed += found
        return removed

    def _tally(self, connection: Connection, entries: int, size: int) -> None:
        connection.execute(self._writes.tally, {"more_entries": entries, "more_size_bytes": size})

    def _trim(self, connection: Connection) -> None:
        seq, _, _, trimmed = connection.execute(self._reads.state).one()
        if seq - trimmed > 2 * _LOG_KEPT:
            connection.execute(self._writes.trim, {"upto": seq - _LOG_KEPT})
            connection.execute(self._writes.trimmed, {"upto": seq - _LOG_KEPT})

    def set_meta(self, connection: Connection, name: str, value: str) -> None:
        self.advance(connection, 0)
        connection.execute(self._writes.drop_meta, {"n": name})
        connection.execute(self._writes.add_meta, {"name": name, "value": value})

    def swap_meta(self, connection: Connection, name: str, old: str | None, new: str) -> bool:
        self.advance(connection, 0)
        swapped = self._questions.meta(connection, name) == old
        if swapped:
            self.set_meta(connection, name, new)
        return swapped

    def wipe(self, connection: Connection) -> int:
        self.advance(connection, 1)
        count = int(connection.execute(self._reads.state).one().entries)
        connection.execute(self._writes.wipe)
        connection.execute(self._writes.wipe_tombstones)
        connection.execute(self._writes.wiped)
        return count
