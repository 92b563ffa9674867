"""The parts of the indexes: the scan, the tails, the lease, the probe, the homes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings
from store_values import entry, unit

from semcache_core.entries.memory import MemoryEntries
from semcache_core.errors import ConfigError, StoreError, StoreReadOnly
from semcache_core.indexes import probe
from semcache_core.indexes.chroma import ChromaFailed, ChromaIndex
from semcache_core.indexes.client_home import ClientHome
from semcache_core.indexes.clients import (
    ChromaServer,
    close_http_client,
    http_client,
    persistent_client,
)
from semcache_core.indexes.lease import Lease
from semcache_core.indexes.local_home import LocalHome, TemporaryHome
from semcache_core.indexes.matrix import ScopeMatrix
from semcache_core.indexes.scan import ScanIndex
from semcache_core.indexes.tails import Tails
from semcache_core.models import Change, Entry


def put(seq: int, key: str, scope: str = "scope", vector: Any = None) -> Change:
    """A line of the log: an entry written."""
    made = entry(key, scope=scope, vector=unit(seq) if vector is None else vector)
    return Change(seq, key, scope, made.at(seq))


def keys(index: Any, scope: str = "scope", seed: int = 0, k: int = 1000) -> set[str]:
    """The keys that an index finds."""
    return {near.key for near in index.nearest(scope, unit(seed), k)}


# -- the matrix ---------------------------------------------------------------------------------


def test_matrix_refuses_another_shape() -> None:
    """Vectors and queries of another length are named."""
    matrix = ScopeMatrix()
    matrix.upsert("a", 1, unit(1))
    with pytest.raises(ConfigError, match=r"\(5,\).*\(8,\)"):
        matrix.upsert("b", 2, unit(1, 5))
    with pytest.raises(ConfigError, match="one embedder"):
        matrix.upsert("a", 2, unit(1, 5))
    with pytest.raises(ConfigError, match=r"\(5,\)"):
        matrix.nearest(unit(1, 5), 1)
    assert len(matrix) == 1


def test_matrix_scans_while_it_changes() -> None:
    """A reader of a large matrix always finds what stays, while rows are moved about."""
    matrix = ScopeMatrix()
    for i in range(3000):
        matrix.upsert(f"k{i}", i, unit(i))
    stop = threading.Event()

    def churn() -> None:
        rng = np.random.default_rng(0)
        for i in range(10**6):
            if stop.is_set():
                return
            gone = int(rng.integers(1000, 3000))
            matrix.delete(f"k{gone}", 10**7)
            matrix.upsert(f"k{gone}", 4000 + i, unit(gone))

    thread = threading.Thread(target=churn)
    thread.start()
    for i in range(0, 1000, 3):
        assert matrix.nearest(unit(i), 1)[0].key == f"k{i}"
    stop.set()
    thread.join()


def test_matrix_gives_up_on_scanning_outside_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """When rows are moved during every scan, the last one is done under the lock."""
    from semcache_core.indexes import matrix as module

    matrix = ScopeMatrix()
    for i in range(2000):
        matrix.upsert(f"k{i}", i, unit(i))
    scan, calls = module._best, []

    def moving(view: Any, vector: Any, k: int, floor: float) -> Any:
        calls.append(matrix._lock.locked())
        if not calls[-1]:
            matrix.upsert("k5", 10_000 + len(calls), unit(5))
        return scan(view, vector, k, floor)

    monkeypatch.setattr(module, "_best", moving)
    assert matrix.nearest(unit(7), 1)[0].key == "k7"
    assert calls == [False, False, False, True]


# -- the scan -----------------------------------------------------------------------------------


class Rows:
    """A record's rows by scope, and how often each scope was read."""

    def __init__(self, **scopes: int) -> None:
        self.rows = {
            scope: [put(i + 1, f"{scope}{i}", scope).entry for i in range(count)]
            for scope, count in scopes.items()
        }
        self.reads: list[str] = []

    def __call__(self, scope: str) -> Iterator[Entry]:
        self.reads.append(scope)
        yield from self.rows.get(scope, [])  # type: ignore[misc]  # put() always makes an entry


def test_scopes_are_read_when_first_searched() -> None:
    """Each scope is read once, and follows changes from then on."""
    rows = Rows(a=3, b=2)
    index = ScanIndex(rows)
    index.apply([put(10, "early", "a")])
    assert rows.reads == []
    assert keys(index, "a") == {"a0", "a1", "a2"}
    index.apply([put(11, "late", "a"), put(12, "other", "b"), Change(13, "a1", "a")])
    assert keys(index, "a") == {"a0", "a2", "late"}
    assert rows.reads == ["a"]
    assert index.size("a") == 3
    assert index.size("b") == 0


def test_budget() -> None:
    """Scopes searched longest ago are dropped; the one in use never is."""
    rows = Rows(**{f"s{i}": 30 for i in range(10)})
    one = ScanIndex(rows)
    keys(one, "s0")
    budget = int(one.nbytes * 3.5)
    index = ScanIndex(rows, budget=budget)
    for i in range(10):
        assert len(keys(index, f"s{i}")) == 30
        assert index.nbytes <= budget
    rows.reads.clear()
    for i in (7, 8, 9, 6):
        keys(index, f"s{i}")
    assert rows.reads == ["s6"]
    tiny = ScanIndex(rows, budget=1)
    assert len(keys(tiny, "s1")) == 30
    assert tiny.size("s1") == 30


def test_growth_counts_towards_the_budget() -> None:
    """A scope that grows makes others go."""
    index = ScanIndex(Rows(a=10, b=10), budget=40_000)
    keys(index, "a")
    keys(index, "b")
    index.apply([put(100 + i, f"new{i}", "b") for i in range(300)])
    assert index.size("a") == 0
    assert index.size("b") == 310


def test_many_empty_scopes_are_bounded() -> None:
    """Scopes in which nothing is found do not gather without end."""
    index = ScanIndex(Rows(), budget=100_000)
    for i in range(1000):
        assert keys(index, f"empty{i}") == set()
    assert len(index._scopes) < 60


def test_change_during_the_reading() -> None:
    """What is written or deleted while a scope is being read is not missed."""
    first, second = put(1, "a"), put(2, "b")

    def load(scope: str) -> Iterator[Any]:
        yield first.entry
        index.apply([put(3, "c"), Change(4, "a", "scope"), Change(5, "b", "scope")])
        yield second.entry

    index = ScanIndex(load)
    assert keys(index) == {"c"}


def test_cleared_during_the_reading() -> None:
    """A scope that was cleared while it was read is read again."""
    reads: list[str] = []

    def load(scope: str) -> Iterator[Any]:
        reads.append(scope)
        yield put(1, "a").entry
        if len(reads) == 1:
            index.clear()

    index = ScanIndex(load)
    keys(index)
    keys(index)
    keys(index)
    assert len(reads) == 2


def test_reading_that_fails() -> None:
    """A scope that could not be read is tried again by the next search."""
    broken = [True]

    def load(scope: str) -> Iterator[Any]:
        if broken[0]:
            raise StoreError("the disk is on fire")
        yield put(1, "a").entry

    index = ScanIndex(load)
    with pytest.raises(StoreError, match="fire"):
        keys(index)
    broken[0] = False
    assert keys(index) == {"a"}


def test_read_once_for_many_threads() -> None:
    """Threads that ask for one scope at the same time wait for one reading."""
    reads: list[str] = []

    def load(scope: str) -> Iterator[Any]:
        reads.append(scope)
        time.sleep(0.1)
        yield put(1, "a").entry

    index = ScanIndex(load)
    found: list[set[str]] = []
    threads = [threading.Thread(target=lambda: found.append(keys(index))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"a"}] * 4
    assert reads == ["scope"]


def test_drop() -> None:
    """A dropped scope is read again when it is searched again."""
    rows = Rows(a=3)
    index = ScanIndex(rows)
    keys(index, "a")
    index.drop("a")
    index.drop("never held")
    assert index.nbytes == 0
    assert len(keys(index, "a")) == 3
    assert rows.reads == ["a", "a"]


# -- the tails ----------------------------------------------------------------------------------


def test_tails() -> None:
    """Only followed scopes are collected, and forgotten up to a seq."""
    tails = Tails()
    tails.apply([put(1, "before")])
    tails.follow(["scope"])
    tails.apply(
        [put(2, "a"), put(3, "b"), put(4, "x", "other"), put(5, "c"), Change(6, "b", "scope")]
    )
    assert keys(tails) == {"a", "c"}
    assert keys(tails, "other") == set()
    tails.trim(2)
    assert keys(tails) == {"c"}
    assert len(tails) == 1
    tails.keep(["other"])
    assert keys(tails) == set()


def test_tails_are_bounded() -> None:
    """Far behind, the newest entries are kept."""
    tails = Tails(most=10)
    tails.follow(["scope"])
    tails.apply([put(i, f"k{i}") for i in range(1, 100)])
    assert len(tails) <= 10
    assert "k99" in keys(tails)


# -- the lease ----------------------------------------------------------------------------------


def test_lease(clock: Any) -> None:
    """One holder at a time, until it gives up or has not been heard of for long."""
    record = MemoryEntries()
    one, two = (Lease(record, "writer", clock=clock) for _ in range(2))
    assert one.acquire()
    assert one.acquire()
    assert not two.acquire()
    two.release()
    assert not two.acquire()
    clock.advance(20)
    assert one.acquire()
    clock.advance(20)
    assert not two.acquire()
    one.release()
    assert two.acquire()
    clock.advance(31)
    assert one.acquire()
    assert not two.acquire()


def test_lease_when_the_clock_is_put_back(clock: Any) -> None:
    """Nobody waits for hours for a holder who is gone, and a holder who lives goes on."""
    record = MemoryEntries()
    one, two = (Lease(record, "writer", clock=clock) for _ in range(2))
    assert one.acquire()
    clock.advance(-7_200)
    assert one.acquire()
    assert not two.acquire()
    clock.advance(-7_200)
    assert two.acquire()


def test_lease_race(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two who see it free at the same moment, one gets it."""
    record = MemoryEntries()
    one, two = (Lease(record, "writer", clock=clock) for _ in range(2))
    swap = record.swap_meta

    def overtaken(name: str, old: str | None, new: str) -> bool:
        monkeypatch.setattr(record, "swap_meta", swap)
        assert two.acquire()
        return swap(name, old, new)

    monkeypatch.setattr(record, "swap_meta", overtaken)
    assert not one.acquire()
    assert two.acquire()


# -- the probe ----------------------------------------------------------------------------------


def kept(folder: Path, count: int, name: str = "semcache-test") -> Path:
    """A folder with an index of so many vectors, not closed cleanly."""
    folder.mkdir()
    client = persistent_client(folder)
    index = ChromaIndex(client, name)
    index.apply([put(i + 1, f"k{i}") for i in range(count)])
    client.close()
    assert (folder / "in-use").exists()
    return folder


def test_probe_passes_a_sound_index(tmp_path: Path) -> None:
    """An index that works passes, and has no more in it than before."""
    folder = kept(tmp_path / "index", 20)
    assert probe.probed(folder, "semcache-test")
    client = persistent_client(folder)
    assert ChromaIndex(client, "semcache-test").count() == 20
    client.close()


def test_probe_fails_what_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing collection, an empty one, a hang and a crash all fail the test."""
    folder = kept(tmp_path / "index", 20)
    assert not probe.probed(folder, "semcache-other")
    assert not probe.probed(kept(tmp_path / "empty", 0), "semcache-test")
    assert not probe.probed(folder, "semcache-test", timeout=0.01)
    crash = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr(probe, "_command", lambda *_: crash)
    assert not probe.probed(folder, "semcache-test")


class Wedged:
    """A collection that takes writes and never finds them."""

    def get(self, **_: Any) -> Any:
        return {"embeddings": np.ones((1, 8))}

    def upsert(self, **_: Any) -> None:
        pass

    delete = upsert

    def query(self, **_: Any) -> Any:
        return {"ids": [["k1"]]}


def test_probe_tells_a_wedged_index() -> None:
    """An index that does not find what was just written does not work."""
    assert not probe.works(Wedged())


def test_probe_as_a_program(tmp_path: Path) -> None:
    """Its exit status says whether the index works; run here too, for its own sake."""
    folder = kept(tmp_path / "index", 20)
    assert probe.main(str(folder), "semcache-test") == 0
    command = [sys.executable, "-m", "semcache_core.indexes.probe", str(folder), "none-such"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


# -- Chroma -------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Any:
    """A client with a database in memory, which all tests of this process share."""
    return chromadb.EphemeralClient(Settings(anonymized_telemetry=False))


def test_collection_made_in_another_way(client: Any) -> None:
    """A collection with another space, of somebody else, or of another embedder is refused."""
    client.get_or_create_collection("semcache-foreign", embedding_function=None)
    with pytest.raises(ChromaFailed, match="none of semcache's"):
        ChromaIndex(client, "semcache-foreign")
    ChromaIndex(client, "semcache-mine", "one")
    with pytest.raises(ChromaFailed, match="'one'"):
        ChromaIndex(client, "semcache-mine", "two")
    state = ChromaIndex(client, "semcache-mine", "one").state
    client.get_or_create_collection(
        "semcache-l2",
        embedding_function=None,
        configuration={"hnsw": {"space": "l2"}},
        metadata=client.get_collection("semcache-mine", embedding_function=None).metadata,
    )
    with pytest.raises(ChromaFailed, match="l2"):
        ChromaIndex(client, "semcache-l2", "one")
    assert state.seq == 0
    for name in ("foreign", "mine", "l2"):
        client.delete_collection(f"semcache-{name}")


def test_state_is_kept(client: Any) -> None:
    """How far an index is stands in the collection itself."""
    index = ChromaIndex(client, "semcache-state", "e")
    index.apply([put(1, "a"), put(2, "b")])
    index.apply([Change(3, "a", "scope"), Change(4, "nobody", "scope")])
    index.save(4, ["scope"])
    other = ChromaIndex(client, "semcache-state", "e")
    assert (other.state.seq, other.state.scopes, other.state.dead) == (4, ("scope",), 1)
    index.save(5, ["scope", "t"])
    assert other.reload().scopes == ("scope", "t")
    assert not other.bloated()
    client.delete_collection("semcache-state")
    with pytest.raises(ChromaFailed):
        index.nearest("scope", unit(1), 1)


def test_vector_that_is_there_is_not_written_again(client: Any) -> None:
    """A refreshed answer with the same question costs no write."""
    index = ChromaIndex(client, "semcache-same")
    index.apply([put(1, "a", vector=unit(1)), put(2, "b", vector=unit(2))])
    written: list[list[str]] = []
    collection = index._collection
    upsert = type(collection).upsert

    def counted(self: Any, ids: list[str], embeddings: Any) -> None:
        written.append(ids)
        upsert(self, ids=ids, embeddings=embeddings)

    type(collection).upsert = counted
    try:
        index.apply([put(3, "a", vector=unit(1)), put(4, "b", vector=unit(3))])
    finally:
        type(collection).upsert = upsert
    assert [[name[16:] for name in names] for names in written] == [["b"]]
    client.delete_collection("semcache-same")


def test_panics_are_errors(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Rust raises is no Exception, and becomes one; a keyboard interrupt stays one."""
    index = ChromaIndex(client, "semcache-panic")

    class PanicException(BaseException):
        """As Rust's bindings raise it."""

    def raising(error: type[BaseException]) -> Any:
        def query(*_: Any, **__: Any) -> None:
            raise error

        return query

    monkeypatch.setattr(type(index._collection), "query", raising(PanicException))
    with pytest.raises(ChromaFailed, match="search"):
        index.nearest("scope", unit(1), 1)
    monkeypatch.setattr(type(index._collection), "query", raising(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        index.nearest("scope", unit(1), 1)
    client.delete_collection("semcache-panic")


# -- homes --------------------------------------------------------------------------------------


def test_local_home_has_one_owner(tmp_path: Path) -> None:
    """A second home over one folder does not get it before the first lets go."""
    one, two = LocalHome(tmp_path / "index", "e"), LocalHome(tmp_path / "index", "e")
    assert one.acquire()
    assert one.acquire()
    assert not two.acquire()
    one.close()
    assert two.acquire()
    two.close()
    two.close()


def test_local_home_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no lock can be made there is no index, and no error."""
    (tmp_path / "file").write_text("x")
    assert not LocalHome(tmp_path / "file", "e").acquire()


def test_local_home_touches_nothing_else(tmp_path: Path) -> None:
    """Files of others in the folder stay."""
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "000123").mkdir()
    (folder / "notes.txt").write_text("mine")
    home = LocalHome(folder, "e")
    assert home.acquire()
    assert not home.exists()
    assert home.open() is None
    home.close()
    assert (folder / "000123").exists()
    assert (folder / "notes.txt").exists()


def test_local_home_keeps_the_newest(tmp_path: Path) -> None:
    """Of several whole indexes the newest is opened, and the others are removed."""
    home = LocalHome(tmp_path / "index", "e")
    home.acquire()
    for seq in (3, 4):
        index = home.create()
        index.apply([put(seq, "a")])
        index.save(seq, ["scope"])
        home.publish(index)
        assert home.is_current(index)
        home.release(index, clean=True)
    found = home.open()
    assert found is not None
    assert found.state.seq == 4
    assert len(list((tmp_path / "index").glob("0*"))) == 1
    home.retire(found)
    assert not home.exists()
    home.close()


def test_temporary_home_is_gone_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed or forgotten, it leaves nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = TemporaryHome("e")
    home.acquire()
    assert len(list(tmp_path.iterdir())) == 1
    home.close()
    assert list(tmp_path.iterdir()) == []


def test_client_home_clears_up_after_a_dead_builder(client: Any) -> None:
    """What a writer began to build and never finished is deleted by the next."""
    record = MemoryEntries()
    one, two = (ClientHome(lambda: client, record, "e") for _ in range(2))
    assert one.acquire()
    one.create()
    half = record.meta("index.building")
    assert not two.acquire()
    one.close()
    assert two.acquire()
    whole = two.create()
    assert half not in [c.name for c in client.list_collections()]
    two.publish(whole)
    assert two.exists()
    assert two.is_current(whole)
    reader = ClientHome(lambda: client, record, "e")
    assert reader.open() is not None
    two.retire(whole)
    assert reader.open() is None
    two.close()


def test_client_home_of_a_read_only_record(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot write the record cannot write the index."""
    record = MemoryEntries()

    def refuse(*_: Any) -> bool:
        raise StoreReadOnly("read-only")

    monkeypatch.setattr(record, "swap_meta", refuse)
    assert not ClientHome(lambda: client, record, "e").acquire()


def test_http_client_has_a_timeout() -> None:
    """A server that accepts and never answers is given up."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done: list[BaseException] = []

        def connect() -> None:
            try:
                http_client(ChromaServer(f"http://127.0.0.1:{port}", timeout=0.2))
            except BaseException as error:
                done.append(error)

        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        assert done


def test_chroma_server(tmp_path: Path) -> None:
    """A store over a real Chroma server: two processes' worth of stores, one index."""
    import socket

    from store_values import Wide, wide

    from semcache_core.store import open_store

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    server = subprocess.Popen(
        [program, "run", "--path", str(tmp_path / "server"), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"ANONYMIZED_TELEMETRY": "False"},
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                close_http_client(http_client(ChromaServer(f"http://127.0.0.1:{port}")))
                break
            except Exception:
                time.sleep(0.2)
        options: Any = {"embedder": Wide(), "url": f"http://127.0.0.1:{port}", "scan_limit": 30}
        one = open_store(tmp_path / "cache", **options, poll=0.0)
        one.put([entry(f"k{i}", vector=wide(i)) for i in range(60)])
        one.nearest("scope", wide(1), 1)
        one.flush()
        assert one.health().index == "chroma"
        two = open_store(tmp_path / "cache", **options, poll=0.0)
        while two.health().index != "chroma":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not two.health().owner
        two.put([entry("new", vector=wide(500))])
        for store in (one, two):
            assert store.nearest("scope", wide(7), 1, 0.99)[0].entry.key == "k7"
            assert store.nearest("scope", wide(500), 1, 0.99)[0].entry.key == "new"
        one.close()
        two.close()
    finally:
        server.terminate()
        server.wait(10)
