"""What every record must do, run over each that can be had here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from servers import mariadb, package, postgres, redis
from sqlalchemy import Computed, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from store_values import entry, unit

from semcache_core.entries.memory import MemoryEntries
from semcache_core.entries.redis import RedisEntries
from semcache_core.entries.sql import SqlEntries
from semcache_core.entries.tables import EntryColumns, tables
from semcache_core.errors import ConfigError, StoreClosed
from semcache_core.models import Change, Entry
from semcache_core.protocols import EntryStore

KINDS = [
    "memory",
    "sqlite",
    "sqlite-memory",
    "own-table",
    "duckdb",
    "postgresql",
    "mariadb",
    "redis",
]
SERVERS = {"postgresql": postgres, "mariadb": mariadb, "redis": redis}


@pytest.fixture(scope="module")
def address() -> Iterator[Callable[[str], str]]:
    """The URL of a server by its kind; it is started when it is first asked for."""
    urls: dict[str, str] = {}
    with ExitStack() as stack:

        def get(kind: str) -> str:
            if kind not in urls:
                urls[kind], _ = stack.enter_context(SERVERS[kind]())
            return urls[kind]

        yield get


class Base(DeclarativeBase):
    """For a class as a user would write it."""


class Answer(EntryColumns, Base):
    """A table of the user's with columns of their own."""

    __tablename__ = "answers"
    note: Mapped[str | None] = mapped_column(String(20))
    length: Mapped[int | None] = mapped_column(Computed("length(query)"))


def emptied(url: str) -> None:
    """Drop the tables that an earlier test left in a database."""
    engine = create_engine(url)
    for table in tables().all:
        table.drop(engine, checkfirst=True)
    engine.dispose()


@pytest.fixture(params=KINDS)
def record(
    request: pytest.FixtureRequest, tmp_path: Path, address: Callable[[str], str]
) -> Iterator[EntryStore]:
    """One empty record of each kind."""
    made = new_record(request.param, tmp_path, address)
    yield made
    made.close()


def new_record(kind: str, folder: Path, address: Callable[[str], str]) -> EntryStore:
    """An empty record of that kind."""
    if kind == "memory":
        return MemoryEntries()
    if kind == "redis":
        return emptied_redis(address(kind))
    if kind == "own-table":
        return SqlEntries(f"sqlite:///{folder / 'entries.sqlite3'}", table=Answer)
    if kind == "sqlite":
        return SqlEntries(f"sqlite:///{folder / 'entries.sqlite3'}")
    if kind == "sqlite-memory":
        return SqlEntries("sqlite://")
    if kind == "duckdb":
        package("duckdb_engine")
        return SqlEntries(f"duckdb:///{folder / 'entries.duckdb'}")
    url = address(kind)
    emptied(url)
    return SqlEntries(url)


def emptied_redis(url: str) -> EntryStore:
    """A record in Redis of which an earlier test has left nothing."""
    from redis import Redis

    with Redis.from_url(url) as client:
        client.flushdb()
    return RedisEntries(url)


def keys(changes: list[Change] | None) -> list[str]:
    """The keys of a log, in order."""
    assert changes is not None
    return [change.key for change in changes]


def test_fits_the_protocol(record: EntryStore) -> None:
    """It has every method of the seam."""
    assert isinstance(record, EntryStore)


def test_round_trip(record: EntryStore) -> None:
    """What was put comes back in every field, the vector to the last bit."""
    given = Entry(
        key="k" * 64,
        scope="s" * 64,
        namespace="Tenant Ä",
        payload=b"\x00\xffanswer",
        created=1.5,
        query="naïve 'question' \U0001f600",
        vector=unit(7),
        turns=("first", "second"),
        model="m",
        expires=9.25,
        last_used=2.5,
        uses=3,
        tokens=12,
    )
    [stored] = record.put([given])
    found = record.get([given.key])[given.key]
    for name in Entry.__slots__:
        if name != "vector":
            assert getattr(found, name) == getattr(stored, name), name
    assert found.vector is not None
    assert found.vector.dtype == np.float32
    np.testing.assert_array_equal(found.vector, given.vector)


def test_exact_only_entry(record: EntryStore) -> None:
    """An entry without question and vector keeps being one."""
    record.put([entry("a", vector=None, query=None)])
    found = record.get(["a"])["a"]
    assert found.vector is None
    assert found.query is None
    assert list(record.scope("scope")) == []
    assert record.count("scope") == 0


def test_get_many(record: EntryStore) -> None:
    """Known keys come back, unknown ones do not, also with more keys than one statement takes."""
    record.put([entry(f"k{i}") for i in range(1200)])
    assert len(record.get([f"k{i}" for i in range(1300)])) == 1200
    assert record.get(["nobody"]) == {}
    assert record.get([]) == {}


def test_replace(record: EntryStore) -> None:
    """The newest answer of a key wins, under a higher seq, and is counted once."""
    [old] = record.put([entry("a", payload=b"old answer")])
    [new] = record.put([entry("a", payload=b"new")])
    assert record.get(["a"])["a"].payload == b"new"
    assert new.seq > old.seq
    assert record.figures().count == 1
    assert record.figures().size == new.size


def test_batch_with_one_key_twice(record: EntryStore) -> None:
    """The last of a batch is kept, and it alone is returned."""
    stored = record.put([entry("a", payload=b"1"), entry("b"), entry("a", payload=b"2")])
    assert sorted(e.key for e in stored) == ["a", "b"]
    assert record.get(["a"])["a"].payload == b"2"
    assert record.figures().count == 2


def test_seq_ascends_over_all_changes(record: EntryStore) -> None:
    """Puts and deletions draw from one counter."""
    first = record.put([entry("a"), entry("b")])
    gone = record.delete(["a"])
    last = record.put([entry("c")])
    seqs = [e.seq for e in first] + [c.seq for c in gone] + [e.seq for e in last]
    assert seqs == sorted(set(seqs))
    assert record.figures().seq == seqs[-1]


def test_delete(record: EntryStore) -> None:
    """Existing keys go and are named, each once; others are not."""
    record.put([entry("a"), entry("b")])
    assert keys(record.delete(["a", "a", "nobody"])) == ["a"]
    assert record.get(["a", "b"]).keys() == {"b"}
    assert record.figures().count == 1
    assert record.delete(["a"]) == []
    assert record.delete([]) == []


def test_changes(record: EntryStore) -> None:
    """The log has the newest of each key, in order, with vectors and tombstones."""
    a, _, _ = record.put([entry("a"), entry("b"), entry("c")])
    record.delete(["b"])
    record.put([entry("a", payload=b"new")])
    log = record.changes(0, 100)
    assert keys(log) == ["c", "b", "a"]
    assert [change.entry is None for change in log] == [False, True, False]
    assert log[0].entry.vector is not None
    assert log[0].entry.payload == b""
    assert keys(record.changes(a.seq + 2, 100)) == ["b", "a"]
    assert record.changes(record.figures().seq, 100) == []


def test_changes_in_pieces(record: EntryStore) -> None:
    """Reading the log piece by piece misses nothing and repeats nothing."""
    record.put([entry(f"k{i}") for i in range(20)])
    record.delete([f"k{i}" for i in range(0, 20, 3)])
    whole = record.changes(0, 1000)
    seen: list[Change] = []
    while part := record.changes(seen[-1].seq if seen else 0, 3):
        assert len(part) <= 3
        seen += part
    assert [c.seq for c in seen] == [c.seq for c in whole]


def test_scope(record: EntryStore) -> None:
    """Only the scope's entries with a vector, oldest first."""
    record.put([entry("a"), entry("b", scope="other"), entry("c"), entry("d", vector=None)])
    assert [e.key for e in record.scope("scope")] == ["a", "c"]
    assert record.count("scope") == 2
    assert record.count("nowhere") == 0


def test_entries(record: EntryStore) -> None:
    """All entries oldest first, across pages, or those of one namespace."""
    record.put([entry(f"k{i}", namespace="Even" if i % 2 == 0 else "odd") for i in range(1100)])
    assert [e.key for e in record.entries()] == [f"k{i}" for i in range(1100)]
    assert [e.key for e in record.entries("Even")][:3] == ["k0", "k2", "k4"]
    assert list(record.entries("even")) == []
    assert len(list(record.entries("odd"))) == 550


def test_entries_while_it_changes(record: EntryStore) -> None:
    """A deletion in the middle of reading does no harm."""
    record.put([entry(f"k{i}") for i in range(700)])
    seen = []
    for found in record.entries():
        seen.append(found.key)
        if len(seen) == 10:
            record.delete([f"k{i}" for i in range(600, 650)])
    assert {f"k{i}" for i in range(600)} <= set(seen)


@pytest.mark.parametrize("namespace", ["", "a", "A", " a", "a ", "é", "e\u0301", "x" * 3000])
def test_namespaces_are_told_apart(record: EntryStore, namespace: str) -> None:
    """Case, blanks, accents and length make different tenants, in every database."""
    names = ["", "a", "A", " a", "a ", "é", "e\u0301", "x" * 3000]
    record.put([entry(f"k{i}", namespace=name) for i, name in enumerate(names)])
    assert [e.namespace for e in record.entries(namespace)] == [namespace]
    assert record.clear(namespace) == 1
    assert record.figures().count == len(names) - 1


def test_clear(record: EntryStore) -> None:
    """Everything goes; seq goes on; a reader behind is told or shown."""
    record.put([entry(f"k{i}") for i in range(700)])
    before = record.figures()
    assert record.clear() == 700
    after = record.figures()
    assert (after.count, after.size) == (0, 0)
    assert after.seq > before.seq
    assert list(record.entries()) == []
    assert list(record.scope("scope")) == []
    log = record.changes(before.seq, 1000)
    assert log is None or len(log) == 700


def test_clear_of_a_namespace_leaves_tombstones(record: EntryStore) -> None:
    """Readers of the log learn of each deleted key."""
    record.put([entry("a", namespace="x"), entry("b", namespace="y")])
    seq = record.figures().seq
    assert record.clear("x") == 1
    assert keys(record.changes(seq, 10)) == ["a"]


def test_touch(record: EntryStore) -> None:
    """Uses add up, the last use never goes back, and it is not a change."""
    record.put([entry("a", last_used=10.0)])
    seq = record.figures().seq
    record.touch({"a": (2, 20.0), "nobody": (1, 1.0)})
    record.touch({"a": (1, 15.0)})
    record.touch({})
    found = record.get(["a"])["a"]
    assert (found.uses, found.last_used) == (3, 20.0)
    assert record.figures().seq == seq


def used(key: str, uses: int, last_used: float, expires: float | None = None) -> Entry:
    """An entry with a history."""
    return entry(key, uses=uses, last_used=last_used, expires=expires)


@pytest.mark.parametrize(
    ("rule", "gone"), [("lru", ["c", "a"]), ("lfu", ["b", "c"]), ("fifo", ["a", "b"])]
)
def test_doomed(record: EntryStore, rule: str, gone: list[str]) -> None:
    """Each rule names its victims in its order."""
    record.put([used("a", 5, 2.0), used("b", 1, 3.0), used("c", 2, 1.0), used("d", 9, 9.0)])
    assert record.doomed(rule, 2, 0, now=100.0) == gone


@pytest.mark.parametrize("rule", ["lru", "lfu", "fifo", "random"])
def test_doomed_takes_expired_first(record: EntryStore, rule: str) -> None:
    """What expired goes before anything else, and no more goes than has to."""
    record.put([used("a", 0, 0.0), used("b", 9, 9.0, expires=5.0), used("c", 9, 9.0, expires=6.0)])
    assert record.doomed(rule, 1, 0, now=5.0) == ["b"]
    assert sorted(record.doomed(rule, 2, 0, now=6.0)) == ["b", "c"]
    assert len(record.doomed(rule, 3, 0, now=6.0)) == 3
    assert record.doomed(rule, 0, 0, now=6.0) == []


def test_expired(record: EntryStore) -> None:
    """What has expired is named, the first to expire first, and nothing else."""
    record.put(
        [used("a", 0, 0.0), used("b", 0, 0.0, 7.0), used("c", 0, 0.0, 6.0), used("d", 0, 0.0, 9.0)]
    )
    assert record.expired(5.9, 10) == []
    assert record.expired(7.0, 10) == ["c", "b"]
    assert record.expired(100.0, 2) == ["c", "b"]


def test_doomed_at_random(record: EntryStore) -> None:
    """Any entry may be chosen, each at most once, and as many as asked for."""
    record.put([entry(f"{i * 16**63:064x}") for i in range(16)])
    chosen = [record.doomed("random", 1, 0, now=0.0)[0] for _ in range(300)]
    assert len(set(chosen)) > 8
    assert len(set(record.doomed("random", 10, 0, now=0.0))) == 10
    assert len(set(record.doomed("random", 100, 0, now=0.0))) == 16


def test_doomed_by_bytes(record: EntryStore) -> None:
    """Victims are taken until their bytes make up for the excess."""
    stored = record.put([entry(f"k{i:04}", payload=b"x" * 100) for i in range(1000)])
    size = stored[0].size
    assert len(record.doomed("fifo", 0, 3 * size, now=0.0)) == 3
    assert len(record.doomed("fifo", 0, 3 * size + 1, now=0.0)) == 4
    assert len(record.doomed("fifo", 5, 3 * size, now=0.0)) == 5
    assert len(record.doomed("fifo", 0, 800 * size, now=0.0)) == 800
    assert len(record.doomed("fifo", 0, 10**9, now=0.0)) == 1000


def test_doomed_checks_the_rule(record: EntryStore) -> None:
    """An unknown rule is named in the error."""
    with pytest.raises(ConfigError, match="youngest"):
        record.doomed("youngest", 1, 0, now=0.0)


def test_meta(record: EntryStore) -> None:
    """Values are kept, replaced, and may be long."""
    assert record.meta("a") is None
    record.set_meta("a", "1")
    record.set_meta("a", "2" * 100_000)
    record.set_meta("b", "")
    assert record.meta("a") == "2" * 100_000
    assert not record.meta("b")
    found = record.metas()
    assert found["a"] == "2" * 100_000
    assert not found["b"]


def test_swap_meta(record: EntryStore) -> None:
    """A value is set only over the one that was expected."""
    assert record.swap_meta("a", None, "1")
    assert not record.swap_meta("a", None, "2")
    assert record.swap_meta("a", "1", "3")
    assert not record.swap_meta("a", "1", "4")
    assert record.meta("a") == "3"


def test_threads(record: EntryStore) -> None:
    """Many writers and readers at once: nothing is lost, and seq is never seen out of order."""
    failures: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return run

    def write(name: str) -> Callable[[], None]:
        def work() -> None:
            for i in range(15):
                record.put([entry(f"{name}-{i}"), entry("shared", payload=name.encode())])
                if i % 5 == 0:
                    record.delete([f"{name}-{i}"])

        return work

    def read() -> None:
        seen = 0
        while not done.is_set():
            for change in record.changes(seen, 1000) or []:
                assert change.seq > seen
                seen = change.seq
            record.get(["shared", "a-1"])

    readers = [threading.Thread(target=guarded(read)) for _ in range(2)]
    writers = [threading.Thread(target=guarded(write(name))) for name in "abcd"]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not failures
    assert record.figures().count == 4 * 12 + 1
    assert record.figures().size == sum(e.size for e in record.entries())


def test_close(record: EntryStore) -> None:
    """Closing twice is fine, and use afterwards says so."""
    record.close()
    record.close()
    for use in (
        lambda: record.get(["a"]),
        lambda: record.put([entry("a")]),
        record.figures,
        lambda: record.set_meta("a", "b"),
        lambda: list(record.entries()),
    ):
        with pytest.raises(StoreClosed, match="close"):
            use()
