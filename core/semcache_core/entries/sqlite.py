"""SQLite files: opened for reading where nothing can be written, set aside when damaged."""

from __future__ import annotations

from pathlib import Path

from semcache_core.entries.sql import SqlEntries


def open_sqlite(path: Path, *, table: object = None) -> SqlEntries:
    """The record in the file `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqlEntries(f"sqlite:///{path}", table=table)
