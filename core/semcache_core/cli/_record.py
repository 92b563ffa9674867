"""The record of an existing cache, opened without its embedder and its index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semcache_core.errors import ConfigError
from semcache_core.models import Entry
from semcache_core.protocols import EntryStore

FILE = "entries.sqlite3"
SHORT = 12  # digits of an id that are shown: 48 bits


def is_url(where: str) -> bool:
    """Whether a cache is named by its database and not by its folder."""
    return "://" in where


@contextmanager
def opened(where: str) -> Iterator[EntryStore]:
    """The record at a folder or a database URL.

    Raises `ConfigError` where there is no cache: a mistyped path must not make an empty one.
    """
    record = _from_url(where) if is_url(where) else _from_folder(Path(where))
    try:
        yield record
    finally:
        record.close()


def _from_url(url: str) -> EntryStore:
    from semcache_core.entries.sql import SqlEntries

    return SqlEntries(url)


def _from_folder(folder: Path) -> EntryStore:
    from semcache_core.entries.sqlite import open_sqlite

    if not (folder / FILE).is_file():
        raise ConfigError(f"there is no cache at {str(folder)!r}: no file {FILE} is in it")
    return open_sqlite(folder / FILE)


def named(record: EntryStore, prefix: str) -> Entry:
    """The entry whose id begins so; raises `ConfigError` when that is none or several."""
    found = [entry for entry in record.entries() if entry.key.startswith(prefix.lower())]
    if len(found) != 1:
        many = f"{len(found)} entries have" if found else "no entry has"
        raise ConfigError(f"{many} an id that begins with {prefix!r}; `semcache ls` shows ids")
    return found[0]
