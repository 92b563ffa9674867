"""Reads of a SQLite file past SQLAlchemy: what hits that are not in memory wait for.

SQLAlchemy adds 30 microseconds to a read of 9. Only reads, and only of our own table, whose columns
need no conversion; whatever goes wrong is left to the ordinary way, which says what it was.

Vectors come a page in one row, which SQLite joins without the interpreter's lock. Row by row, each
takes and returns it: that is slow, and beside busy threads endless.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Connection, Dialect, select

from semcache_core.entries.tables import Tables, column_names
from semcache_core.models import VectorPage

_PAGE = 2_000
"""Vectors read at once: some megabytes."""


class QuickRows:
    """Rows in the order of `column_names()`, and pages of vectors."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        row = tables.entries
        columns = select(*(row.c[name] for name in column_names()))
        self._head = (
            f"{columns.compile(dialect=dialect)} WHERE {row.c.key.compile(dialect=dialect)}"
        )
        self._statement = lru_cache(maxsize=64)(self._made)
        self._joined = _joined(row.name)

    def rows(self, connection: Connection, keys: Sequence[str]) -> list[Any] | None:
        """Those that exist; None if they have to be read in the ordinary way."""
        return _fetched(connection, self._statement(len(keys)), keys)

    def vectors(self, connection: Connection, scope: str, after: int) -> VectorPage | None:
        """The scope's next vectors above the seq `after`; None as for `rows`."""
        found = _fetched(connection, self._joined, (scope, after, _PAGE))
        return None if found is None else _page(*found[0])

    def _made(self, count: int) -> str:
        return f"{self._head} IN ({','.join('?' * count)})"


def _fetched(
    connection: Connection, statement: str, values: Sequence[str | int]
) -> list[Any] | None:
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        return None
    try:
        return raw.execute(statement, values).fetchall()
    except sqlite3.Error:
        return None


def _joined(table: str) -> str:
    """A page in one row. Texts of bytes are joined as they are: the length tells if they were."""
    return (
        "SELECT count(*), sum(typeof(vector) = 'blob' AND length(vector) = 4 * dimension),"  # noqa: S608  # our own name
        " min(dimension), max(dimension), group_concat(seq), group_concat(key),"
        " CAST(group_concat(vector, '') AS BLOB)"
        f' FROM (SELECT seq, key, dimension, vector FROM "{table}"'
        " WHERE scope = ? AND dimension > 0 AND seq > ? ORDER BY seq LIMIT ?)"
    )


def _page(  # noqa: PLR0917  # the columns of `_joined`, in order
    count: int,
    whole: int | None,
    least: int,
    dimension: int,
    seqs: str | None,
    keys: str | None,
    vectors: bytes | None,
) -> VectorPage | None:
    """None if a row is not as it should be."""
    if not count or seqs is None or keys is None or vectors is None:
        return (
            None if count else VectorPage([], np.empty(0, np.int64), np.empty((0, 0), np.float32))
        )
    named, size = keys.split(","), 4 * count * dimension
    if whole != count or least != dimension or len(named) != count or len(vectors) != size:
        return None
    rows = np.frombuffer(vectors, "<f4").reshape(count, dimension)
    return VectorPage(named, np.fromstring(seqs, np.int64, sep=","), rows)


def quick_rows(table: object, tables: Tables, dialect: Dialect) -> QuickRows | None:
    """None for other databases, and for a table of the user's, which may convert its columns."""
    plain = dialect.name == "sqlite" and dialect.driver == "pysqlite" and table is None
    return QuickRows(tables, dialect) if plain else None
