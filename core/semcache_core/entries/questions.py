"""What is asked of the record's tables on one connection."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Dialect, Row, Select

from semcache_core.entries.quick import quick_rows
from semcache_core.entries.rows import to_entry
from semcache_core.entries.statements import reads, victims
from semcache_core.entries.tables import Tables
from semcache_core.expiry import take
from semcache_core.models import Change, Figures, Usage, VectorPage

CHUNK = 500
"""Keys in one IN list: Oracle takes 1,000 and SQL Server 2,100 parameters."""


class Questions:
    """Reads; `table` is the user's own, if any, as for `SqlEntries`."""

    def __init__(self, table: object, tables: Tables, dialect: Dialect) -> None:
        self.reads, self._victims = reads(tables), victims(tables)
        self._quick = quick_rows(table, tables, dialect)

    def figures(self, connection: Connection) -> Figures:
        row = connection.execute(self.reads.state).one()
        return Figures(seq=row.seq, count=row.entries, size=row.size_bytes)

    def expired(self, connection: Connection, now: float, limit: int) -> list[str]:
        values = {"now": now, "limit": limit}
        return [key for key, _ in self._pairs(connection, self._victims.expired, values)]

    def rows(self, connection: Connection, keys: Sequence[str]) -> Sequence[Row[Any]]:
        if self._quick is not None and len(keys) <= CHUNK:
            found = self._quick.rows(connection, keys)
            if found is not None:
                return found
        if len(keys) == 1:
            return connection.execute(self.reads.one, {"k": keys[0]}).all()
        parts = (connection.execute(self.reads.many, {"keys": part}).all() for part in chunks(keys))
        return [row for part in parts for row in part]

    def vectors(self, connection: Connection, scope: str, after: int) -> VectorPage | None:
        """The scope's next page; None if it has to be read in the ordinary way."""
        return None if self._quick is None else self._quick.vectors(connection, scope, after)

    def changes(self, connection: Connection, after: int, limit: int) -> list[Change] | None:
        # The upper bound makes the two reads agree without a transaction around them: all that
        # is at or below it was committed before either.
        span = {
            "after": after,
            "upto": connection.execute(self.reads.state).one().seq,
            "limit": limit,
        }
        written = connection.execute(self.reads.written, span).all()
        deleted = connection.execute(self.reads.deleted, span).all()
        if after < connection.execute(self.reads.state).one().trimmed:
            return None
        entries = (Change(row.seq, row.key, row.scope, to_entry(row)) for row in written)
        tombstones = (Change(*row) for row in deleted)
        return list(islice(merge(entries, tombstones, key=lambda change: change.seq), limit))

    def meta(self, connection: Connection, name: str) -> str | None:
        return connection.execute(self.reads.meta, {"n": name}).scalar()

    def doomed(
        self, connection: Connection, rule: str, excess: int, excess_bytes: int, now: float
    ) -> list[str]:
        limit = max(excess, CHUNK)
        while True:
            values = {"now": now, "limit": limit}
            found = self._pairs(connection, self._victims.expired, values)
            if len(found) < limit:
                found += self._ordered(connection, rule, values)
            keys = take(found, excess, excess_bytes)
            if len(keys) < len(found) or len(found) < limit:
                return keys
            limit *= 4

    def _ordered(
        self, connection: Connection, rule: str, values: dict[str, Any]
    ) -> list[tuple[str, int]]:
        statement: Select[Any] = getattr(self._victims, rule)
        if rule != "random":
            return self._pairs(connection, statement, values)
        start = f"{random.getrandbits(256):064x}"
        behind = self._pairs(connection, statement, values | {"start": start})
        before = self._pairs(connection, statement, values | {"start": ""})
        return list(dict([*behind, *before]).items())

    def sample(self, connection: Connection, count: int) -> list[Usage]:
        """Keys are digests, so those behind a random point are drawn at random."""
        start = f"{random.getrandbits(256):064x}"
        values = {"start": start, "limit": count}
        rows = list(connection.execute(self._victims.sample, values))
        if len(rows) < count:
            rest = connection.execute(self._victims.sample, values | {"start": ""})
            rows = [*rows, *(row for row in rest if row.key < start)]
        return [Usage(*row) for row in rows[:count]]

    @staticmethod
    def _pairs(
        connection: Connection, statement: Select[Any], values: dict[str, Any]
    ) -> list[tuple[str, int]]:
        return [(row.key, row.size_bytes) for row in connection.execute(statement, values)]


def chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    """The keys in lists that every database takes."""
    for start in range(0, len(keys), CHUNK):
        yield list(keys[start : start + CHUNK])
