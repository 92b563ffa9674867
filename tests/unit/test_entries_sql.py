"""The record in SQL: portable statements, the user's own tables and engines, clear errors."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import postgres as postgres_server
from sqlalchemy import (
    Column,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    make_url,
)
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable
from store_values import entry, unit

from semcache_core.entries import transactions
from semcache_core.entries.faults import fault, is_busy, is_race
from semcache_core.entries.rows import to_entry, to_row
from semcache_core.entries.sql import SqlEntries
from semcache_core.entries.statements import reads, victims, writes
from semcache_core.entries.tables import EntryColumns, column_names, tables
from semcache_core.errors import (
    ConfigError,
    IncompatibleError,
    MissingDependency,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
)

DIALECTS = {
    "sqlite": sqlite.dialect,
    "postgresql": postgresql.dialect,
    "mysql": mysql.dialect,
    "mssql": mssql.dialect,
    "oracle": oracle.dialect,
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_compiles(dialect: str) -> None:
    """Nothing in the statements is one database's own."""
    made = tables()
    for group in (reads(made), victims(made), writes(made)):
        for name in group.__slots__:
            assert str(getattr(group, name).compile(dialect=DIALECTS[dialect]())), name
    for table in made.all:
        assert str(CreateTable(table).compile(dialect=DIALECTS[dialect]()))
    for index in made.indexes:
        assert str(CreateIndex(index).compile(dialect=DIALECTS[dialect]()))


def test_long_answers_fit_in_mysql() -> None:
    """MySQL's plain BLOB would cut an answer off at 64 KiB."""
    text = str(CreateTable(tables().entries).compile(dialect=mysql.dialect()))
    assert text.count("LONGBLOB") == 2
    assert text.count("LONGTEXT") == 2


# -- tables of the user's -----------------------------------------------------------------------


class Base(DeclarativeBase):
    """For classes as a user would write them."""


class Complete(EntryColumns, Base):
    """A table with columns of its own that fill themselves."""

    __tablename__ = "complete"
    team: Mapped[str] = mapped_column(String(20), default="core")
    note: Mapped[str | None] = mapped_column(Text)


class Demanding(EntryColumns, Base):
    """A table with a column that nobody fills."""

    __tablename__ = "demanding"
    owner: Mapped[str] = mapped_column(String(20))


def test_own_class(tmp_path: Path) -> None:
    """Entries go into the user's table, whose other columns keep their values."""
    url = f"sqlite:///{tmp_path / 'own.sqlite3'}"
    record = SqlEntries(url, table=Complete)
    record.put([entry("a")])
    record.close()
    connection = sqlite3.connect(tmp_path / "own.sqlite3")
    assert connection.execute("SELECT key, team, note FROM complete").fetchall() == [
        ("a", "core", None)
    ]
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert {"complete_state", "complete_meta", "complete_tombstones"} <= names
    connection.close()


def test_two_records_in_one_database(tmp_path: Path) -> None:
    """Records with tables of different names do not see each other."""
    url = f"sqlite:///{tmp_path / 'both.sqlite3'}"
    one, two = SqlEntries(url), SqlEntries(url, table=Complete)
    one.put([entry("a")])
    assert two.get(["a"]) == {}
    assert two.figures().seq == 0
    one.close()
    two.close()


def test_own_table_object(tmp_path: Path) -> None:
    """A plain Table will do, and one whose indexes exist already."""
    table = tables().entries.to_metadata(MetaData(), name="plain")
    for _ in range(2):
        record = SqlEntries(f"sqlite:///{tmp_path / 'plain.sqlite3'}", table=table)
        record.put([entry("a")])
        assert record.get(["a"])
        record.close()


def test_missing_columns_are_named() -> None:
    """A table that lacks columns says which, and how to get them."""
    table = Table("poor", MetaData(), Column("key", String(64), primary_key=True))
    with pytest.raises(ConfigError, match=r"'poor' lacks .*scope.*EntryColumns"):
        tables(table)


def test_column_that_nobody_fills() -> None:
    """A further column without a default would fail at each put, so it fails at once."""
    with pytest.raises(ConfigError, match="'owner' of table 'demanding'"):
        tables(Demanding)


def test_columns_that_fill_themselves() -> None:
    """Identity columns are fine."""
    table = tables().entries.to_metadata(MetaData(), name="counted")
    table.append_column(Column("number", Integer, Identity()))
    assert tables(table).entries is table


@pytest.mark.parametrize("source", ["semcache", 7, object])
def test_not_a_table(source: Any) -> None:
    """What is no table is named."""
    with pytest.raises(ConfigError, match="declarative class or a Table"):
        tables(source)


# -- engines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url at all", "no database URL"),
        ("nosuchdb://host/db", "nosuchdb"),
        ("sqlite+aiosqlite:///x", "asynchronous driver"),
    ],
)
def test_bad_urls(url: str, said: str) -> None:
    """A URL that cannot work is explained."""
    with pytest.raises(ConfigError, match=said):
        SqlEntries(url)


def test_url_with_a_password_is_not_repeated() -> None:
    """A malformed URL may hold a secret."""
    with pytest.raises(ConfigError) as caught:
        SqlEntries("postgresql//user:secret@host")
    assert "secret" not in str(caught.value)


def test_missing_driver() -> None:
    """A driver that is not installed is named."""
    with pytest.raises(MissingDependency, match="MySQLdb"):
        SqlEntries("mysql+mysqldb://host/db")


def test_unreachable_server_shows_no_password() -> None:
    """A connection that fails names the server, without the password."""
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"tester:\*\*\*@127\.0\.0\.1") as caught:
        SqlEntries("postgresql+psycopg://tester:hunter2@127.0.0.1:9/db?connect_timeout=2")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)


def test_in_memory_engine_with_a_pool() -> None:
    """An engine whose every connection sees another empty database is refused."""
    engine = create_engine("sqlite://")
    with pytest.raises(ConfigError, match="StaticPool"):
        SqlEntries(engine)
    engine.dispose()


def test_own_engines(tmp_path: Path) -> None:
    """An engine of the user's is used, and stays theirs to dispose of."""
    for options in (
        {"url": "sqlite://", "poolclass": StaticPool, "connect_args": {"check_same_thread": False}},
        {"url": f"sqlite:///{tmp_path / 'a.sqlite3'}"},
        {"url": f"sqlite:///{tmp_path / 'b.sqlite3'}", "poolclass": NullPool},
    ):
        engine = create_engine(**options)
        record = SqlEntries(engine)
        record.put([entry("a"), entry("b")])
        assert set(record.get(["a", "b"])) == {"a", "b"}
        assert record.get(["a"])["a"].payload == b"answer"
        record.close()
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM semcache").scalar() == 2
        engine.dispose()


def test_path_with_odd_characters(tmp_path: Path) -> None:
    """A path is a path, whatever stands in it."""
    from semcache_core.entries.sqlite import open_sqlite

    path = tmp_path / "100% what? #1 & so:on" / "entries.sqlite3"
    record = open_sqlite(path)
    record.put([entry("a")])
    record.close()
    assert path.exists()


# -- rows ---------------------------------------------------------------------------------------


def test_unreadable_rows_count_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A row whose vector or turns make no sense is skipped, with a word in the log."""
    record = SqlEntries(f"sqlite:///{tmp_path / 'e.sqlite3'}")
    record.put([entry("a"), entry("b"), entry("c", turns=("x",)), entry("d")])
    connection = sqlite3.connect(tmp_path / "e.sqlite3", isolation_level=None)
    connection.execute("UPDATE semcache SET vector = x'0102' WHERE key = 'a'")
    connection.execute("UPDATE semcache SET turns = '[' WHERE key = 'c'")
    connection.close()
    assert set(record.get(["a", "b", "c", "d"])) == {"b", "d"}
    assert [e.key for e in record.entries()] == ["b", "d"]
    assert [e.key for e in record.scope("scope")] == ["b", "d"]
    log = record.changes(0, 10)
    assert log is not None
    assert [(change.key, change.entry is None) for change in log] == [
        ("a", True),
        ("b", False),
        ("c", True),
        ("d", False),
    ]
    assert "cannot be read" in caplog.text
    record.close()


def test_rows_and_entries() -> None:
    """A row in the order of the columns is the entry again, vectors little-endian."""
    given = entry("a", vector=unit(3).astype(">f4"), turns=("x", "y")).at(5)
    row = to_row(given)
    assert list(row) == column_names()
    found = to_entry(list(row.values()))
    assert found is not None
    assert found.turns == ("x", "y")
    assert found.vector is not None
    assert found.vector.tolist() == unit(3).tolist()


def test_newer_tables(tmp_path: Path) -> None:
    """Tables that a later version wrote are refused by both versions' names."""
    url = f"sqlite:///{tmp_path / 'e.sqlite3'}"
    record = SqlEntries(url)
    record.set_meta("schema", "99")
    record.close()
    with pytest.raises(IncompatibleError, match=r"version 99.*version 1"):
        SqlEntries(url)


def test_trimmed_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old tombstones go, and a reader that needs them is told to start anew."""
    monkeypatch.setattr(transactions, "_LOG_KEPT", 10)
    record = SqlEntries(f"sqlite:///{tmp_path / 'e.sqlite3'}")
    for i in range(30):
        record.put([entry(f"k{i}")])
        record.delete([f"k{i}"])
    assert record.changes(0, 1000) is None
    newest = record.figures().seq
    log = record.changes(newest - 8, 1000)
    assert log is not None
    assert [change.seq for change in log] == [newest - 6, newest - 4, newest - 2, newest]
    record.close()


# -- what databases raise -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("database disk image is malformed", StoreCorrupt),
        ("file is not a database", StoreCorrupt),
        ("attempt to write a readonly database", StoreReadOnly),
        ("cannot execute INSERT in a read-only transaction", StoreReadOnly),
        ("database or disk is full", StoreError),
        ("could not extend file: No space left on device", StoreError),
        ("database is locked", StoreBusy),
        ("something else", StoreError),
        ("", StoreError),
    ],
)
def test_faults(said: str, kind: type[StoreError]) -> None:
    """What a driver says decides which error it becomes."""
    made = fault(Exception(said), make_url("postgresql://me:pw@host/db"))
    assert type(made) is kind
    assert "pw" not in str(made)


def test_which_faults_pass() -> None:
    """Only what may well work a moment later is tried again."""

    def error(text: str) -> DBAPIError:
        return OperationalError("SELECT 1", {}, Exception(text))

    assert is_busy(error("database is locked"))
    assert is_busy(error("deadlock detected"))
    assert not is_busy(error("syntax error"))
    assert not is_busy(ValueError("locked"))
    assert is_race(error("table semcache already exists"))
    assert not is_race(error("syntax error"))


def test_opened_by_many_at_once(tmp_path: Path) -> None:
    """Processes that open a new database at the same moment all succeed."""
    code = (
        "import sys; from semcache_core.entries.sql import SqlEntries;"
        "record = SqlEntries(sys.argv[1]); record.set_meta(sys.argv[2], 'x'); record.close()"
    )
    url = f"sqlite:///{tmp_path / 'e.sqlite3'}"
    started = [subprocess.Popen([sys.executable, "-c", code, url, f"p{i}"]) for i in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    record = SqlEntries(url)
    assert all(record.meta(f"p{i}") == "x" for i in range(4))
    record.close()


# -- a server -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database."""
    with postgres_server() as (url, _):
        yield url


@pytest.mark.server
def test_writers_of_several_connections_keep_the_order(postgres: str) -> None:
    """Two records over one server: seq is seen in the order of commits, and none twice."""
    import threading

    one, two = SqlEntries(postgres), SqlEntries(postgres)
    failures: list[BaseException] = []

    def write(record: SqlEntries, name: str) -> None:
        try:
            for i in range(40):
                record.put([entry(f"{name}{i}"), entry("both", payload=name.encode())])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(r, n)) for r, n in ((one, "x"), (two, "y"))]
    for thread in threads:
        thread.start()
    seen = start = one.figures().seq
    while any(thread.is_alive() for thread in threads):
        for change in one.changes(seen, 1000) or []:
            assert change.seq > seen
            seen = change.seq
    assert not failures
    assert one.figures().seq >= start + 160
    assert one.figures().count == 81
    one.close()
    two.close()


@pytest.mark.server
def test_connection_that_was_cut(postgres: str) -> None:
    """After the server dropped its connections, the next read and write work again."""
    record = SqlEntries(postgres)
    record.put([entry("a")])
    assert record.get(["a"])
    other = create_engine(postgres)
    with other.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
    other.dispose()
    assert record.get(["a"])
    record.put([entry("b")])
    assert record.get(["b"])
    record.close()


@pytest.mark.server
def test_server_that_only_reads(postgres: str) -> None:
    """On a server that takes no writes, answers are read and writes say so."""
    record = SqlEntries(postgres)
    record.put([entry("a")])
    record.close()
    replica = create_engine(
        postgres, connect_args={"options": "-c default_transaction_read_only=on"}
    )
    reader = SqlEntries(replica)
    assert reader.read_only
    assert reader.get(["a"])
    with pytest.raises(StoreReadOnly):
        reader.put([entry("b")])
    reader.close()
    replica.dispose()
