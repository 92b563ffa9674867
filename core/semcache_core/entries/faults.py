"""What databases raise, as errors of ours. No message shows a password, a query or an answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from semcache_core.errors import StoreBusy, StoreCorrupt, StoreError, StoreReadOnly

_CORRUPT = ("malformed", "not a database", "corrupt", "database disk image", "file is encrypted")
_READ_ONLY = ("readonly", "read-only", "permission denied", "unable to open database file")
_FULL = ("disk is full", "disk full", "no space left", "could not extend file", "disk i/o error")
_BUSY = (
    "locked",
    "busy",
    "deadlock",
    "serialize access",
    "lock wait timeout",
    "lock timeout",
    "lock request time out",
    "conflict",
)


def is_busy(error: BaseException) -> bool:
    """Whether the same transaction may well succeed a moment later."""
    return isinstance(error, DBAPIError) and _says(str(error.orig), _BUSY)


def is_unreached(error: BaseException) -> bool:
    """Whether no connection could be made at all."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    # A commit has no statement either: on a file it is a disk that is full.
    return error.statement is None and not isinstance(error.orig, sqlite3.Error)


def is_race(error: DBAPIError) -> bool:
    """Whether another process made the same table, index or row a moment earlier."""
    said = str(error.orig)
    return _says(said, ("already exist", "already used", "duplicate", "unique"))


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn what SQLAlchemy and its drivers raise into a `StoreError` that names the database."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        # The driver's own error is kept as the cause and SQLAlchemy's wrapper is not: that one
        # repeats the statement with its values, which are people's questions and answers.
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise fault(cause, url) from cause


def fault(error: BaseException | None, url: URL) -> StoreError:
    """The error to raise for what a driver said."""
    said = _masked(str(error), url)
    where = name(url)
    if _says(said, _CORRUPT):
        return StoreCorrupt(
            f"{where} is damaged ({said}): look at it with `semcache doctor`, or move the file"
            ' away, or open with on_corrupt="move", which sets it aside and saves what it can'
        )
    if _says(said, _READ_ONLY):
        return StoreReadOnly(f"{where} cannot be written ({said}): stored answers are still served")
    if _says(said, _FULL):
        return StoreError(f"{where}: the disk is full or failing ({said}); nothing was stored")
    if _says(said, _BUSY):
        return StoreBusy(f"{where} stayed busy ({said}): another process holds it for too long")
    if isinstance(error, PoolTimeout):
        return StoreError(f"{where}: no connection became free in time")
    return StoreError(f"{where}: {said}")


def name(url: URL) -> str:
    """A database as messages may show it."""
    if url.get_backend_name() == "sqlite":
        return url.database or "an in-memory SQLite database"
    return url.render_as_string(hide_password=True)


def _says(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text.lower() for word in words)


def _masked(text: str, url: URL) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "no further word"
    return first.replace(str(url.password), "***") if url.password else first
