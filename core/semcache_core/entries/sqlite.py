"""SQLite files: opened for reading where nothing can be written, set aside when damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from semcache_core.entries.sql import SqlEntries

OnCorrupt = Literal["raise", "move"]


def open_sqlite(path: Path, *, table: object = None, on_corrupt: OnCorrupt = "raise") -> SqlEntries:
    """The record in the file `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqlEntries(f"sqlite:///{path}", table=table)
