"""The record in an SQL database, through SQLAlchemy Core."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Row, Select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from semcache_core.entries.engines import in_memory, make_engine, refuse_async
from semcache_core.entries.faults import fault, is_busy, is_unreached, name, translated
from semcache_core.entries.questions import CHUNK, Questions
from semcache_core.entries.rows import tenant, to_entry
from semcache_core.entries.schema import SCHEMA, Schema
from semcache_core.entries.tables import tables
from semcache_core.entries.transactions import Transactions
from semcache_core.entries.watched import Watched
from semcache_core.errors import (
    ConfigError,
    IncompatibleError,
    StoreClosed,
    StoreCorrupt,
    StoreReadOnly,
    StoreReplaced,
)
from semcache_core.expiry import ORDERED, check_rule
from semcache_core.models import Change, Entry, Figures, Usage, VectorPage
from semcache_core.waiting import PATIENCE, Breaker, Queue

_log = logging.getLogger(__name__)

T = TypeVar("T")

_PAGE = 500
"""Rows read at once: no transaction stays open between pages, and memory stays small."""
_PAUSE = 0.01
"""Seconds before a transaction is tried again at a busy database."""
_IMPATIENCE = 0.05
"""Seconds that a write waits after one has just waited in vain."""
_IDLE = 8
"""Open reading connections that are kept: opening one costs more than a read."""

_abandoned: list[object] = []
"""Connections a forked child inherited. To close them there would end the parent's locks."""


class SqlEntries:
    """An `EntryStore` in any database that SQLAlchemy speaks to.

    `source` is a URL with a synchronous driver or an `Engine`, which stays the caller's to
    dispose of. `table` is a declarative class or `Table` with the columns of
    `semcache_core.entries.tables.EntryColumns`. Tables that do not exist are created.

    Raises `ConfigError`, `MissingDependency`, `IncompatibleError` (tables of a newer version) and
    `StoreError`.
    """

    shared = True

    def __init__(
        self, source: str | URL | Engine, *, table: object = None, read_only: bool = False
    ) -> None:
        self._owned = not isinstance(source, Engine)
        self._engine = source if isinstance(source, Engine) else make_engine(source)
        self._refuse_unusable()
        self.read_only = read_only
        made = tables(table)
        self._asked = Questions(table, made, self._engine.dialect)
        self._does = Transactions(made, self._asked)
        self._schema = Schema(self._engine, made, self._asked, self._does)
        self._lock = threading.RLock()
        self._duck = self._engine.dialect.name == "duckdb"
        self._kept_idle = 0 if self._duck or isinstance(self._engine.pool, NullPool) else _IDLE
        self._one_connection = isinstance(self._engine.pool, StaticPool)
        self._idle: list[Connection] = []
        self._patience, self._queue = PATIENCE, Queue()
        self._breaker = Breaker(name(self._engine.url))
        self._closed = False
        self._file = Watched(self._engine.url)
        self.generation = 0
        self._era = 0  # what was lent before the file was exchanged is not kept
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def put(self, entries: Sequence[Entry]) -> list[Entry]:
        wanted = list({entry.key: entry for entry in entries}.values())
        return self._write(lambda connection: self._does.put(connection, wanted)) if wanted else []

    def get(self, keys: Sequence[str]) -> dict[str, Entry]:
        rows = self._read(lambda connection: self._asked.rows(connection, keys))
        return {entry.key: entry for row in rows if (entry := to_entry(row))}

    def delete(self, keys: Sequence[str]) -> list[Change]:
        wanted = list(dict.fromkeys(keys))
        return self._write(lambda connection: self._does.bury(connection, wanted)) if wanted else []

    def touch(self, uses: Mapping[str, tuple[int, float]]) -> None:
        rows = [{"k": key, "more": more, "used": last} for key, (more, last) in uses.items()]
        if rows:
            self._write(lambda connection: self._does.touch(connection, rows))

    def changes(self, after: int, limit: int) -> list[Change] | None:
        return self._read(lambda connection: self._asked.changes(connection, after, limit))

    def figures(self) -> Figures:
        with suppress(StoreReplaced):  # what follows shows that this is another record
            self._stay()
        return self._read(self._asked.figures)

    def scope(self, scope: str) -> Iterator[Entry]:
        return self._pages(self._asked.reads.scope_after, scope=scope)

    def vectors(self, scope: str) -> Iterator[VectorPage | Entry]:
        after, ahead = 0, self.count(scope)
        while rows := self._vectors_after(scope, after):
            ahead = max(0, ahead - len(rows))
            if isinstance(rows, VectorPage):
                yield replace(rows, ahead=ahead)
                after = int(rows.seqs[-1])
            else:
                yield from (entry for row in rows if (entry := to_entry(row)))
                after = rows[-1].seq

    def entries(self, namespace: str | None = None) -> Iterator[Entry]:
        if namespace is None:
            return self._pages(self._asked.reads.after)
        return self._pages(self._asked.reads.tenant_after, tenant=tenant(namespace))

    def count(self, scope: str | None = None) -> int:
        if scope is None:
            return self.figures().count
        found = self._read(
            lambda c: c.execute(self._asked.reads.scope_count, {"scope": scope}).scalar_one()
        )
        return int(found)

    def doomed(self, rule: str, excess: int, excess_bytes: int, now: float) -> list[str]:
        check_rule(rule, ORDERED)
        return self._read(lambda c: self._asked.doomed(c, rule, excess, excess_bytes, now))

    def sample(self, count: int) -> list[Usage]:
        return self._read(lambda connection: self._asked.sample(connection, count))

    def expired(self, now: float, limit: int) -> list[str]:
        return self._read(lambda connection: self._asked.expired(connection, now, limit))

    def meta(self, name: str) -> str | None:
        return self._read(lambda connection: self._asked.meta(connection, name))

    def set_meta(self, name: str, value: str) -> None:
        self._write(lambda connection: self._does.set_meta(connection, name, value))

    def metas(self) -> dict[str, str]:
        rows = self._read(lambda connection: connection.execute(self._asked.reads.metas).all())
        return {row.name: row.value or "" for row in rows}

    def swap_meta(self, name: str, old: str | None, new: str) -> bool:
        return self._write(lambda connection: self._does.swap_meta(connection, name, old, new))

    def clear(self, namespace: str | None = None) -> int:
        if namespace is None:
            return self._write(self._does.wipe)
        deleted = 0
        while keys := self._tenant_keys(namespace):
            deleted += len(self.delete(keys))
        return deleted

    def close(self) -> None:
        self._closed = True
        self._drop_idle()
        if self._owned:
            self._engine.dispose()

    def before_fork(self) -> None:
        self._lock.acquire()
        if not self._one_connection:
            self._drop_idle()

    def after_fork(self, child: bool) -> None:
        if not child:
            self._lock.release()
            return
        self._lock = threading.RLock()
        _abandoned.extend([self._engine.pool, self._idle])
        self._idle = []
        if not self._one_connection:
            self._engine.dispose(close=False)

    # -- opening ----------------------------------------------------------------------------

    def _refuse_unusable(self) -> None:
        url, pool = self._engine.url, self._engine.pool
        refuse_async(url, self._engine.dialect.is_async)
        if (
            url.get_backend_name() == "sqlite"
            and in_memory(url)
            and not isinstance(pool, StaticPool)
        ):
            raise ConfigError(
                "entries: each connection of this engine would see another empty database; give"
                " it poolclass=StaticPool and connect_args={'check_same_thread': False}, or a file"
            )

    def _open(self) -> None:
        if not self.read_only:
            try:
                with translated(self._engine.url):
                    self._schema.create()
            except StoreReadOnly as error:
                _log.warning("%s", error)
                self.read_only = True
        self._check_schema()
        self._file.note()

    def _stay(self) -> None:
        """Raise `StoreReplaced` if the file is not the one that was opened, and open that."""
        if self._closed or self.read_only or not self._file.lost():
            return
        with self._lock:
            if not self._file.lost():
                return
            self._era += 1
            self._drop_idle()
            self._engine.dispose()
            self._file.make_folder()
            self._open()
            self.generation += 1
        lost = StoreReplaced(
            f"{name(self._engine.url)} was removed or exchanged while it was open, and with it"
            " the answers it had; what is stored from now on goes into the file that is there now"
        )
        _log.warning("semcache: %s", lost)
        raise lost

    def _check_schema(self) -> None:
        found = self.meta("schema")
        if found != SCHEMA:
            raise IncompatibleError(
                f"{name(self._engine.url)} has tables of version {found}, this program writes"
                f" version {SCHEMA}: use the version that wrote them, or another path"
            )

    def check(self) -> None:
        """Look through a whole SQLite file. Raises `StoreCorrupt`; other databases see to that."""
        if self._engine.dialect.name != "sqlite":
            return
        said = self._read(lambda c: c.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        if said != "ok":
            raise fault(StoreCorrupt(f"malformed: {said}"), self._engine.url)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Not at all, if the server could not be reached a moment ago."""
        begun = self._breaker.check()
        try:
            yield
        except SQLAlchemyError as error:
            if is_unreached(error):
                self._breaker.failed(begun)
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the record was used after close()")

    # -- reading ----------------------------------------------------------------------------

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._check_open()
        with translated(self._engine.url), self._reaching():
            if self._one_connection:
                with self._lock, self._engine.connect() as connection:
                    return work(connection)
            try:
                return self._lend(work)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The server dropped this connection, and with it most likely all that lay idle.
            self._drop_idle()
            return self._lend(work)

    def _lend(self, work: Callable[[Connection], T]) -> T:
        """A connection that lay idle, or a new one. Opening one costs more than most reads."""
        era, connection = self._era, self._connection()
        try:
            result = work(connection)
        except BaseException:
            connection.close()
            raise
        if era == self._era:
            self._keep(connection)
        else:
            connection.close()
        return result

    def _connection(self) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        connection = self._engine.connect()
        if self._duck:  # it has no such setting: returning the connection ends what it sees
            return connection
        return connection.execution_options(isolation_level="AUTOCOMMIT")

    def _keep(self, connection: Connection) -> None:
        if self._closed or len(self._idle) >= self._kept_idle:
            connection.close()
        else:
            self._idle.append(connection)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _pages(self, statement: Select[Any], **values: object) -> Iterator[Entry]:
        after = 0
        while rows := self._page(statement, {"after": after, "limit": _PAGE, **values}):
            yield from (entry for row in rows if (entry := to_entry(row)))
            after = rows[-1].seq

    def _page(self, statement: Select[Any], values: dict[str, object]) -> Sequence[Row[Any]]:
        return self._read(lambda connection: connection.execute(statement, values).all())

    def _vectors_after(self, scope: str, after: int) -> VectorPage | Sequence[Row[Any]]:
        page = self._read(lambda connection: self._asked.vectors(connection, scope, after))
        if page is not None:
            return page
        values = {"after": after, "limit": _PAGE, "scope": scope}
        return self._page(self._asked.reads.scope_after, values)

    def _tenant_keys(self, namespace: str) -> list[str]:
        wanted = {"tenant": tenant(namespace), "limit": CHUNK}
        return self._read(
            lambda c: list(c.execute(self._asked.reads.tenant_keys, wanted).scalars())
        )

    # -- writing ----------------------------------------------------------------------------

    def _write(self, work: Callable[[Connection], T]) -> T:
        self._check_open()
        if self.read_only:
            raise StoreReadOnly(f"{name(self._engine.url)} was opened for reading only")
        self._stay()
        with self._queue.turn(self._lock), translated(self._engine.url), self._reaching():
            until = time.monotonic() + self._patience
            while True:
                try:
                    return self._commit(work)
                except DBAPIError as error:
                    if not self._again(error, until):
                        raise
                time.sleep(_PAUSE)

    def _again(self, error: DBAPIError, until: float) -> bool:
        """Whether to try once more.

        What a transaction does can be done a second time, should it have been committed before the
        connection was lost.
        """
        busy = is_busy(error)
        if time.monotonic() < until:
            return busy or error.connection_invalidated
        if busy:
            self._patience = _IMPATIENCE  # the next ones need not wait in vain as long
        return False

    def _commit(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            result = work(connection)
        self._patience = PATIENCE
        return result
