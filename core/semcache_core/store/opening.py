"""A store from a path, URLs, an engine, a client: whatever the user has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcache_core.indexes.scan import ScanIndex
from semcache_core.protocols import Embedder, EntryStore, VectorIndex
from semcache_core.store.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Engine


def open_store(
    path: str | os.PathLike[str] | None = None,
    *,
    entries: EntryStore | Engine | str | None = None,
    index: VectorIndex | Callable[[EntryStore], VectorIndex] | None = None,
    embedder: Embedder,
    **options: Any,
) -> Store:
    """Open a store.

    `path` is a folder, made if missing; without it and without `entries` all is in memory.
    """
    record = _record(path, entries)
    vectors = index if isinstance(index, VectorIndex) else (index or _scan)(record)
    return Store(
        record, vectors, identity=embedder.identity, dimension=lambda: embedder.dimension, **options
    )


def _scan(record: EntryStore) -> VectorIndex:
    return ScanIndex(record.scope)


def _record(path: str | os.PathLike[str] | None, entries: Any) -> EntryStore:
    if isinstance(entries, EntryStore):
        return entries
    if entries is not None:
        from semcache_core.entries.sql import SqlEntries

        return SqlEntries(entries)
    if path is None:
        from semcache_core.entries.memory import MemoryEntries

        return MemoryEntries()
    from semcache_core.entries.sqlite import open_sqlite

    return open_sqlite(Path(path) / "entries.sqlite3")
