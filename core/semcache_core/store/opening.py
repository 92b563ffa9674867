"""A store from a path, URLs, an engine, a client: whatever the user has."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from semcache_core.errors import ConfigError
from semcache_core.indexes.announced import announced
from semcache_core.indexes.client_home import ClientHome
from semcache_core.indexes.clients import ChromaServer, http_client
from semcache_core.indexes.homes import Home
from semcache_core.indexes.hybrid import SCAN_LIMIT, SHARED_LIMIT, HybridIndex
from semcache_core.indexes.local_home import LocalHome, TemporaryHome
from semcache_core.indexes.scan import ScanIndex, loading
from semcache_core.protocols import Embedder, EntryStore, VectorIndex
from semcache_core.store.claim import probe_of
from semcache_core.store.store import Store

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy import Engine

    from semcache_core.entries.sqlite import OnCorrupt

AnyPath = str | os.PathLike[str]


def open_store(
    path: AnyPath | None = None,
    *,
    embedder: Embedder,
    url: str | None = None,
    url_headers: Mapping[str, str] | None = None,
    url_timeout: float | None = None,
    url_verify: bool | str | None = None,
    entries: EntryStore | Engine | Redis | str | None = None,
    table: object = None,
    index: VectorIndex | Callable[[EntryStore], VectorIndex] | Any = None,
    scan_limit: int | None = None,
    on_corrupt: OnCorrupt = "raise",
    **options: Any,
) -> Store:
    """Open a store; what it is made of follows from what is given.

    `path`     a folder, made if missing: the record is a SQLite file there, and so is the index.
               Without `path` and `entries` all is in memory, and large scopes are indexed in a
               temporary folder that is gone with the store.
    `entries`  another record: a database URL, an SQLAlchemy `Engine`, the URL or a client of Redis
               (`entries.redis.RedisEntries`), or an `EntryStore`.
    `table`    a declarative class or `Table` for its rows (`semcache_core.entries.tables`).
    `url`      a Chroma server for the index, for several machines; with `entries` beside it.
    `url_headers`, `url_timeout`, `url_verify`
               how it is spoken to (`indexes.clients.ChromaServer`).
    `index`    instead: a `chromadb` client, a vector store of LlamaIndex, "scan" for none on disk,
               a `VectorIndex`, or a function that makes one for a record.
    `scan_limit`  entries of a scope up to which it is scanned in memory: 200,000, or 10,000 with
               `url` or an `index` that is given, which several processes may share.
    `on_corrupt`  "raise", or "move": set a damaged SQLite file aside, save what can be read.
    `options`  those of `Store`.

    Raises `ConfigError`, `IncompatibleError`, `StoreCorrupt`, `StoreError`.
    """
    if url is not None and index is not None:
        raise ConfigError("url and index both name the index: give one of them")
    limit = _limit(scan_limit, shared=url is not None or index is not None)
    server = _server(url, headers=url_headers, timeout=url_timeout, verify=url_verify)
    record = _record(path, entries, table, on_corrupt)
    try:
        home = partial(_home, path, server, index, record, embedder.identity)
        return Store(
            record,
            _index(index, home, record, limit),
            identity=embedder.identity,
            dimension=lambda: embedder.dimension,
            probe=probe_of(embedder),
            **options,
        )
    except BaseException:
        record.close()
        raise


def _limit(given: int | None, *, shared: bool) -> int:
    if given is not None:
        return given
    return SHARED_LIMIT if shared else SCAN_LIMIT


def _record(path: AnyPath | None, entries: Any, table: object, on_corrupt: OnCorrupt) -> EntryStore:
    if isinstance(entries, EntryStore):
        return entries
    if _is_redis(entries):
        from semcache_core.entries.redis import RedisEntries

        return RedisEntries(entries)
    if entries is not None:
        from semcache_core.entries.sqlite import open_database

        return open_database(entries, table=table, on_corrupt=on_corrupt)
    if path is not None:
        from semcache_core.entries.sqlite import open_sqlite

        file = Path(path).expanduser() / "entries.sqlite3"
        return open_sqlite(file, table=table, on_corrupt=on_corrupt)
    from semcache_core.entries.memory import MemoryEntries

    return MemoryEntries()


def _is_redis(entries: Any) -> bool:
    if isinstance(entries, str):
        return urlsplit(entries).scheme in ("redis", "rediss", "unix")
    return callable(getattr(entries, "register_script", None))  # a client: redis is not imported


def open_record(where: AnyPath) -> EntryStore:
    """The record alone, of a cache's folder or at a database URL; made if missing.

    Raises as `open_store` does.
    """
    if isinstance(where, str) and "://" in where:
        return _record(None, where, None, "raise")
    return _record(where, None, None, "raise")


def _index(index: Any, home: Callable[[], Home], record: EntryStore, limit: int) -> VectorIndex:
    if isinstance(index, VectorIndex):
        return index
    if index == "scan":
        return ScanIndex(loading(record))
    if index is None or _is_client(index) or announced(index):
        return HybridIndex(record, home(), scan_limit=limit)
    if callable(index):
        made: VectorIndex = index(record)
        return made
    raise ConfigError(
        'index is "scan", a chromadb client, a vector store of LlamaIndex, a VectorIndex, or a'
        f" function; got {index!r}"
    )


def _home(
    path: AnyPath | None,
    server: ChromaServer | None,
    index: Any,
    record: EntryStore,
    embedder: str,
) -> Home:
    if server is not None:
        return ClientHome(partial(http_client, server), record, embedder)
    if index is not None and (maker := announced(index)):
        return maker(index, record, embedder)
    if index is not None:
        return ClientHome(lambda: index, record, embedder, reconnects=False)
    if path is not None:
        return LocalHome(Path(path).expanduser() / "index", embedder)
    return TemporaryHome(embedder)


def _server(url: str | None, **how: Any) -> ChromaServer | None:
    given = {name: value for name, value in how.items() if value is not None}
    if url is not None:
        return ChromaServer(url, **given)
    if given:
        raise ConfigError(f"url_{next(iter(given))} is about a Chroma server: give its url too")
    return None


def _is_client(index: Any) -> bool:
    make = getattr(index, "get_or_create_collection", None)
    if inspect.iscoroutinefunction(make):
        raise ConfigError("index: an asynchronous chromadb client cannot be used; give a plain one")
    return make is not None
