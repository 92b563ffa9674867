"""Engines: how a database is opened, and what SQLite needs told on each connection."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool, StaticPool

from semcache_core.errors import ConfigError, MissingDependency

BUSY_SECONDS = 0.25
"""How long SQLite itself waits for another writer, at each attempt of the record's."""
LOCK_SECONDS = 1
"""The same for database servers, in whole seconds, as MySQL knows no other."""

_SWITCHING_SECONDS = 5.0
"""How long opening waits while another process switches a new file to WAL."""

_CONNECT_SECONDS = 3
_PSYCOPG = {
    "connect_timeout": _CONNECT_SECONDS,
    # A machine that is gone from the net says nothing, not even that.
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
_PYMYSQL = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": 10, "write_timeout": 10}
_LIMITS = {
    "psycopg": _PSYCOPG,
    "psycopg2": _PSYCOPG,
    "pymysql": _PYMYSQL,
    "mysqldb": _PYMYSQL,
}
"""What drivers without it would wait for minutes, or for ever; the URL's query says otherwise."""
_EXTRAS = {
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
_LOCK_TIMEOUTS = {
    "postgresql": f"SET lock_timeout = '{LOCK_SECONDS}s'",
    "mysql": f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}",
    "mariadb": f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}",
    "mssql": f"SET LOCK_TIMEOUT {LOCK_SECONDS * 1000}",
}
"""By default these wait for a row that somebody else holds for ever, or for 50 seconds."""


def sqlite_url(path: Path, *, immutable: bool = False) -> URL:
    """The URL of a SQLite file; `immutable`: which nobody can write meanwhile."""
    if not immutable:
        return URL.create("sqlite", database=str(path))
    name = path.absolute().as_uri()  # with ? and # quoted
    return URL.create("sqlite", database=name, query={"immutable": "1", "uri": "true"})


def make_engine(url: str | URL) -> Engine:
    """An engine for a URL of the user's; raises `ConfigError` and `MissingDependency`."""
    address = parsed(url)
    try:
        refuse_async(address, address.get_dialect().is_async)
        if address.get_backend_name() == "sqlite":
            return _sqlite(address)
        return _server(address)
    except NoSuchModuleError as error:
        raise ConfigError(
            f"entries: SQLAlchemy knows no database {address.drivername!r}"
        ) from error
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the database {address.drivername!r}", str(error.name), _extra(address)
        ) from error


def _extra(url: URL) -> str:
    """The extra that installs a driver, for the databases that have one."""
    return _EXTRAS.get(url.get_backend_name(), "all")


def _timeouts(url: URL) -> dict[str, int]:
    limits = _LIMITS.get(url.get_driver_name(), {})
    return {name: value for name, value in limits.items() if name not in url.query}


def refuse_async(url: URL, is_async: bool) -> None:
    """Raise `ConfigError` for a driver that the record cannot use."""
    if is_async:
        raise ConfigError(
            f"entries: {url.drivername!r} is an asynchronous driver; name a synchronous one, for"
            " instance postgresql+psycopg (the cache's own methods can be awaited all the same)"
        )


def parsed(url: str | URL) -> URL:
    """The URL of a text; raises `ConfigError`."""
    try:
        return make_url(url)
    except ArgumentError:
        # The cause is left out: it repeats the text, in which a password may stand.
        raise ConfigError(
            "entries is no database URL; one looks like postgresql+psycopg://user@host/name"
        ) from None


def in_memory(url: URL) -> bool:
    """Whether a SQLite URL names a database that is gone with its last connection."""
    return not url.database or url.database == ":memory:" or "mode=memory" in str(url)


def _server(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=_CONNECT_SECONDS,
        hide_parameters=True,
        connect_args=_timeouts(url),
    )
    if told := _LOCK_TIMEOUTS.get(engine.dialect.name):
        event.listen(engine, "connect", lambda connection, _record: _tell(connection, told))
    return engine


def _tell(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
    connection.commit()


def _sqlite(url: URL) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}, "hide_parameters": True}
    if in_memory(url):
        options["poolclass"] = StaticPool
        options["connect_args"] |= {"check_same_thread": False}
    else:
        # No upper bound: a thread that reads must not wait for one that writes.
        options |= {"poolclass": QueuePool, "max_overflow": -1}
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Readers and a writer side by side (WAL); a commit outlives the process when it returns.

    synchronous=NORMAL: kill -9 loses nothing, a power cut may lose the commits since the last
    checkpoint and damages nothing. FULL would keep those too, for an fsync a commit (2.7 ms
    against 0.03 ms on a cloud disk); a lost answer costs one call, and every miss would pay. Who
    wants it hands over an `Engine` with a listener of its own.
    """
    # Counts for a new file only. Entries of 2 to 3 KB fill pages of 4 KB, the default, by half.
    connection.execute("PRAGMA page_size=8192").close()
    deadline = time.monotonic() + _SWITCHING_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself while another process switches the mode.
            if "locked" not in str(error) or time.monotonic() > deadline:
                if "readonly" in str(error):
                    break
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous=NORMAL").close()
    connection.execute("PRAGMA cache_size=-16000").close()
