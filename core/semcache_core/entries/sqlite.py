"""SQLite files: opened for reading where nothing can be written, set aside when damaged."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from sqlalchemy import Engine

from semcache_core.entries.engines import in_memory, parsed, sqlite_url
from semcache_core.entries.rows import to_entry
from semcache_core.entries.sql import SqlEntries
from semcache_core.entries.tables import Tables, column_names, tables
from semcache_core.errors import ConfigError, StoreCorrupt, StoreReadOnly
from semcache_core.models import Entry

_log = logging.getLogger(__name__)

OnCorrupt = Literal["raise", "move"]

_CHECKED = 16 * 1024 * 1024
"""Bytes up to which a file is looked through at opening: that takes some 30 ms."""
_PAGE = 100
_HOLE = 100_000
"""So many missing rows in a damaged file, one after the other, are its end."""


def open_sqlite(path: Path, *, table: object = None, on_corrupt: OnCorrupt = "raise") -> SqlEntries:
    """The record in the file `path`; the folder is made if missing.

    Where the file or its folder cannot be written, it is opened for reading, and writing raises
    `StoreReadOnly`. Raises `StoreCorrupt` for a damaged file; with `on_corrupt="move"` the file is
    renamed instead, never deleted, and its readable rows are copied into a new one.
    """
    if on_corrupt not in get_args(OnCorrupt):
        raise ConfigError(f'on_corrupt is "raise" or "move"; got {on_corrupt!r}')
    _make_folder(path)
    try:
        return _opened(path, table)
    except StoreCorrupt as error:
        if on_corrupt == "raise":
            raise
        _log.warning("%s", error)
        return _replaced(path, table)


def open_database(
    source: str | Engine, *, table: object = None, on_corrupt: OnCorrupt = "raise"
) -> SqlEntries:
    """The record in any database; a plain file of SQLite's is treated as `open_sqlite` does."""
    if isinstance(source, str):
        url = parsed(source)
        if url.drivername == "sqlite" and not url.query and not in_memory(url):
            return open_sqlite(Path(str(url.database)), table=table, on_corrupt=on_corrupt)
    return SqlEntries(source, table=table)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people asked is theirs
    except FileExistsError as error:
        raise ConfigError(f"path: {path.parent} is a file, and should be a folder") from error
    except OSError as error:
        raise StoreReadOnly(f"the folder {path.parent} cannot be made: {error}") from error


def _opened(path: Path, table: object) -> SqlEntries:
    try:
        record = SqlEntries(sqlite_url(path), table=table)
    except StoreReadOnly:
        # In a folder that cannot be written SQLite cannot make the file its readers share.
        # Without a log of recent commits it can do without, if told that nobody writes.
        wal = path.with_name(path.name + "-wal")
        if not path.exists() or (wal.exists() and wal.stat().st_size):
            raise
        record = SqlEntries(sqlite_url(path, immutable=True), table=table, read_only=True)
    if path.stat().st_size <= _CHECKED:
        _check(record)
    return record


def _check(record: SqlEntries) -> None:
    try:
        record.check()
    except BaseException:
        record.close()
        raise


# -- damaged files ------------------------------------------------------------------------------


def _replaced(path: Path, table: object) -> SqlEntries:
    aside = _set_aside(path)
    record = _opened(path, table)
    try:
        saved = _salvage(aside, record, tables(table))
    except BaseException:
        record.close()
        raise
    _log.warning("%s: %d entries were saved from the damaged file %s", path, saved, aside)
    return record


def _set_aside(path: Path) -> Path:
    """Rename the file and what belongs to it; its new name."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{aside.name.split('_')[0]}_{number}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _salvage(source: Path, target: SqlEntries, names: Tables) -> int:
    saved = 0
    with contextlib.closing(sqlite3.connect(source)) as connection:
        for name, value in _metas(connection, names.meta.name):
            target.set_meta(name, value)
        page: list[Entry] = []
        for entry in _entries(connection, names):
            page.append(entry)
            if len(page) == _PAGE:
                saved += len(target.put(page))
                page = []
        saved += len(target.put(page))
    return saved


def _metas(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    rows = _tried(connection, f'SELECT name, value FROM "{table}"')  # noqa: S608  # our own name
    return [
        (name, value) for name, value in rows or [] if not name.startswith(("index.", "schema"))
    ]


def _entries(connection: sqlite3.Connection, names: Tables) -> Iterator[Entry]:
    """The rows that can be read, a page at a time, and one by one where a page cannot."""
    table = names.entries.name
    columns = ", ".join(f'"{name}"' for name in column_names())
    select = f'SELECT {columns} FROM "{table}" WHERE seq > ? AND seq <= ? ORDER BY seq'  # noqa: S608
    last = _last_seq(connection, names)
    after, hole = 0, 0
    while hole < _HOLE if last is None else after < last:
        rows = _tried(connection, select, after, after + _PAGE)
        if rows is None:
            rows = [
                row
                for seq in range(after, after + _PAGE)
                for row in _tried(connection, select, seq, seq + 1) or []
            ]
        yield from (entry for row in rows if (entry := to_entry(row)))
        hole = 0 if rows else hole + _PAGE
        after += _PAGE


def _last_seq(connection: sqlite3.Connection, names: Tables) -> int | None:
    rows = _tried(connection, f'SELECT seq FROM "{names.state.name}"')  # noqa: S608  # our own name
    return int(rows[0][0]) if rows else None


def _tried(connection: sqlite3.Connection, statement: str, *values: int) -> list[Any] | None:
    """The rows, or None if they cannot be read."""
    try:
        return connection.execute(statement, values).fetchall()
    except sqlite3.Error:
        return None
