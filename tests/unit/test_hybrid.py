"""Scopes that outgrow a scan: promotion, what is found meanwhile, restarts, rebuilding."""

from __future__ import annotations

import faulthandler
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest
from chromadb.config import Settings
from store_values import Wide, entry, wide

from semcache_core.entries.memory import MemoryEntries
from semcache_core.errors import ConfigError
from semcache_core.indexes.chroma import ChromaIndex
from semcache_core.indexes.hybrid import HybridIndex
from semcache_core.indexes.inspection import Useless, inspect
from semcache_core.indexes.large import IndexFailed
from semcache_core.indexes.local_home import TemporaryHome
from semcache_core.store import Store, open_store

LIMIT = 40


class Stores:
    """Opens stores over one folder and closes them in the end."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.opened: list[Store] = []

    def __call__(self, embedder: str = "wide", **options: Any) -> Store:
        settings = {"scan_limit": LIMIT, "poll": 0.0} | options
        store = open_store(self.path, embedder=Wide(embedder), **settings)
        self.opened.append(store)
        return store


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """A maker of stores over one path."""
    made = Stores(tmp_path / "cache")
    yield made
    for store in made.opened:
        store.close()


def fill(store: Store, first: int, last: int, scope: str = "scope") -> None:
    """Put entries k<first>..k<last - 1> of one scope."""
    store.put([entry(f"{scope}-k{i}", scope=scope, vector=wide(i)) for i in range(first, last)])


def top(store: Store, i: int, scope: str = "scope") -> str | None:
    """The key nearest to the i-th vector."""
    found = store.nearest(scope, wide(i), 1, 0.99)
    return found[0].entry.key if found else None


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for something that happens in the background; else say where all threads stand."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            faulthandler.dump_traceback(sys.__stderr__)
            raise AssertionError("waited in vain")
        time.sleep(0.01)


def promoted(store: Store, count: int = LIMIT + 20, scope: str = "scope") -> Store:
    """A store whose scope is served by Chroma."""
    fill(store, 0, count, scope)
    top(store, 0, scope)
    store.flush()
    assert store.health().index == "chroma"
    return store


def test_small_scopes_need_no_chroma(stores: Stores) -> None:
    """Up to the limit nothing is written to an index, and none is opened."""
    store = stores()
    fill(store, 0, LIMIT)
    assert top(store, 3) == "scope-k3"
    store.flush()
    health = store.health()
    assert (health.index, health.pending, health.owner) == ("scan", 0, False)
    assert health.indexed == health.seq
    assert not (stores.path / "index").exists()


def test_promotion(stores: Stores) -> None:
    """A scope over the limit is found through Chroma; its neighbours go on being scanned."""
    store = promoted(stores())
    fill(store, 0, 5, "small")
    health = store.health()
    assert (health.index, health.owner, health.pending) == ("chroma", True, 0)
    assert [top(store, i) for i in range(60)] == [f"scope-k{i}" for i in range(60)]
    assert top(store, 3, "small") == "small-k3"
    assert store.nearest("small", wide(7), 5, 0.99) == []


def test_promotion_happens_by_itself(stores: Stores) -> None:
    """Without flush(), the background thread does it, and nothing is missing meanwhile."""
    store = stores()
    fill(store, 0, LIMIT + 1)
    for i in range(LIMIT + 1, LIMIT + 200):
        fill(store, i, i + 1)
        assert top(store, i) == f"scope-k{i}"
        assert top(store, i // 2) == f"scope-k{i // 2}"
    until(lambda: store.health().index == "chroma" and store.health().pending == 0)
    assert all(top(store, i) == f"scope-k{i}" for i in range(LIMIT + 200))


def test_changes_after_promotion(stores: Stores) -> None:
    """Puts, replacements and deletions are seen at once, and also after they were indexed."""
    store = promoted(stores())

    def check() -> None:
        assert top(store, 100) == "scope-k100"
        assert top(store, 5) is None
        assert top(store, 200) == "scope-k6"
        assert top(store, 6) is None

    fill(store, 100, 101)
    store.delete(["scope-k5"])
    store.put([entry("scope-k6", vector=wide(200))])
    check()
    store.flush()
    assert store.health().pending == 0
    check()


def test_clear_a_namespace_and_all(stores: Stores) -> None:
    """A cleared scope is empty at once; the cleared store does without an index."""
    store = promoted(stores())
    store.put([entry("other", namespace="n", vector=wide(300))])
    assert store.clear("n") == 1
    assert top(store, 300) is None
    assert top(store, 3) == "scope-k3"
    store.clear()
    assert top(store, 3) is None
    store.flush()
    assert store.health().index == "scan"
    promoted(store)
    assert top(store, 3) == "scope-k3"


def test_reopened(stores: Stores) -> None:
    """The index is opened and not built again; what it missed is added."""
    promoted(stores()).close()
    first = [folder.name for folder in (stores.path / "index").iterdir()]
    second = stores()
    assert top(second, 3) == "scope-k3"
    until(lambda: second.health().index == "chroma")
    assert all(top(second, i) == f"scope-k{i}" for i in range(LIMIT + 20))
    assert [folder.name for folder in (stores.path / "index").iterdir()] == first


def test_scope_is_not_read_into_memory_when_the_index_opens(stores: Stores) -> None:
    """The first search of a large scope waits for the index, and does not load the scope."""
    promoted(stores()).close()
    store = stores()
    index: Any = store._index
    assert top(store, 3) == "scope-k3"
    assert store.health().index == "chroma"
    assert index._scan.nbytes == 0


def test_missing_index_is_made_again(stores: Stores) -> None:
    """An index that somebody deleted is built from the record."""
    promoted(stores()).close()
    shutil.rmtree(stores.path / "index")
    store = stores()
    assert top(store, 3) == "scope-k3"
    until(lambda: store.health().index == "chroma")
    assert top(store, 3) == "scope-k3"


@pytest.mark.parametrize("name", ["chroma.sqlite3", "data_level0.bin"])
def test_damaged_index_is_made_again(stores: Stores, name: str) -> None:
    """An index with garbage in its files is found out after a crash, and built anew."""
    promoted(stores(), 1100).close()
    [folder] = (stores.path / "index").glob("0*")
    for path in folder.rglob(name):
        path.write_bytes(b"\xff garbage" * 5000)
    (folder / "in-use").touch()
    store = stores()
    assert top(store, 3) == "scope-k3"
    until(lambda: store.health().index == "chroma", 60)
    assert all(top(store, i) == f"scope-k{i}" for i in range(0, 1100, 50))
    assert not folder.exists()


def test_index_of_another_record(stores: Stores) -> None:
    """An index that was made from another record is removed, and not believed."""
    promoted(stores()).close()
    for path in stores.path.glob("entries*"):
        path.unlink()
    store = stores()
    fill(store, 500, 500 + LIMIT + 20)
    assert top(store, 501) == "scope-k501"
    assert top(store, 3) is None
    store.flush()
    assert store.health().index == "chroma"
    assert top(store, 501) == "scope-k501"
    assert top(store, 3) is None


def test_record_set_back(stores: Stores) -> None:
    """An index that knows of changes which the record lost is made anew."""
    store = promoted(stores())
    store.close()
    record = stores.path / "entries.sqlite3"
    backup = record.read_bytes()
    later = stores()
    fill(later, 100, 200)
    top(later, 3)
    later.flush()
    later.close()
    record.write_bytes(backup)
    again = stores()
    assert top(again, 3) == "scope-k3"
    assert top(again, 150) is None
    until(lambda: again.health().index == "chroma")
    assert top(again, 3) == "scope-k3"
    assert again.health().indexed <= again.health().seq


def test_what_was_committed_just_now_is_not_missed(stores: Stores) -> None:
    """An index is not called damaged for entries that no memory of this process has seen yet."""
    store = promoted(stores())
    keeper, record, seq = store._index._keeper, store._entries, store.health().seq
    with keeper._stepping:  # or it would follow meanwhile
        record.put([entry(f"scope-k{i}", scope="scope", vector=wide(i)) for i in range(100, 200)])
        inspect(keeper.serving.index, record, ["scope"], seq)
        with pytest.raises(Useless, match="fewer than 95%"):
            inspect(keeper.serving.index, record, ["scope"], record.figures().seq)


def test_unfinished_building_is_begun_again(stores: Stores) -> None:
    """A generation that was never finished is removed."""
    half = stores.path / "index" / f"{1:018}"
    half.mkdir(parents=True)
    client = chromadb.PersistentClient(str(half), Settings(anonymized_telemetry=False))
    ChromaIndex(client, "semcache-half", "wide")
    client.close()
    store = promoted(stores())
    assert top(store, 3) == "scope-k3"
    assert not half.exists()


def test_rebuilt_when_bloated(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """After enough deletions a fresh index takes the place of the old one."""
    monkeypatch.setattr("semcache_core.indexes.chroma._LEAST_BLOAT", 30)
    store = promoted(stores())
    [old] = (stores.path / "index").glob("0*")
    for first in (100, 200, 300):
        fill(store, first, first + 40)
        store.flush()
        store.delete([f"scope-k{i}" for i in range(first, first + 40)])
        store.flush()
    until(lambda: not old.exists())
    assert store.health().index == "chroma"
    assert len(list((stores.path / "index").glob("0*"))) == 1
    kept = {e.key for e in store.entries()}
    assert {top(store, i) for i in range(340)} - {None} == kept
    assert len(kept) == LIMIT + 20


def test_failing_search_falls_back(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Chroma fails, the scan answers, and the index comes back by itself."""
    store = promoted(stores())
    monkeypatch.setattr("semcache_core.indexes.keeper._RETRY", 0.05)

    def broken(*_: object) -> None:
        raise IndexFailed("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(ChromaIndex, "nearest", broken)
        assert top(store, 3) == "scope-k3"
    until(lambda: store.health().index == "chroma")
    assert top(store, 3) == "scope-k3"


def test_wedged_index_is_found_out(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that takes writes and does not find them is made anew."""
    monkeypatch.setattr("semcache_core.indexes.held._CHECK_EVERY", 10)
    monkeypatch.setattr("semcache_core.indexes.keeper._RETRY", 0.05)
    store = promoted(stores())
    [old] = (stores.path / "index").glob("0*")
    with monkeypatch.context() as patch:
        patch.setattr(ChromaIndex, "_write", lambda self, vectors: None)
        fill(store, 100, 130)
        until(lambda: store.health().index != "chroma")
        assert top(store, 110) == "scope-k110"
    until(lambda: store.health().index == "chroma")
    assert not old.exists()
    assert top(store, 110) == "scope-k110"


def test_second_store_scans_and_takes_over(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two stores one writes the index; the other finds all the same, and inherits it."""
    monkeypatch.setattr("semcache_core.indexes.keeper._RETRY", 0.05)
    one = promoted(stores())
    two = stores()
    assert top(two, 3) == "scope-k3"
    assert not two.health().owner
    fill(two, 100, 110)
    fill(one, 110, 120)
    assert top(one, 105) == "scope-k105"
    assert top(two, 115) == "scope-k115"
    until(lambda: one.health().pending == 0)
    one.close()
    until(lambda: two.health().index == "chroma")
    assert two.health().owner
    assert all(top(two, i) == f"scope-k{i}" for i in range(100, 120))


def test_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store without a path indexes large scopes in a folder that is gone in the end."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stores = Stores(None)
    store = promoted(stores())
    [folder] = tmp_path.iterdir()
    assert top(store, 3) == "scope-k3"
    store.close()
    assert not folder.exists()


def test_client_of_the_user(stores: Stores) -> None:
    """A chromadb client that is handed over holds the index, and stays open."""
    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    store = promoted(stores(index=client))
    assert top(store, 3) == "scope-k3"
    [name] = [c.name for c in client.list_collections() if c.name.startswith("semcache-")]
    store.close()
    assert client.heartbeat()
    again = stores(index=client)
    assert top(again, 3) == "scope-k3"
    until(lambda: again.health().index == "chroma")
    again.clear()
    again.flush()
    assert name not in [c.name for c in client.list_collections()]


def test_two_stores_share_a_client(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes the collection, the other searches it, and takes over in the end."""
    monkeypatch.setattr("semcache_core.indexes.keeper._RETRY", 0.05)
    monkeypatch.setattr("semcache_core.indexes.keeper._IDLE", 0.05)
    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    one = promoted(stores(index=client))
    two = stores(index=client)
    until(lambda: two.health().index == "chroma")
    assert not two.health().owner
    fill(one, 100, 110)
    fill(two, 110, 120)
    assert all(top(two, i) == f"scope-k{i}" for i in range(100, 120))
    assert all(top(one, i) == f"scope-k{i}" for i in range(100, 120))
    until(lambda: two.health().pending == 0)
    assert all(top(two, i) == f"scope-k{i}" for i in range(100, 120))
    one.close()
    until(lambda: two.health().owner and two.health().index == "chroma")
    fill(two, 120, 130)
    two.flush()
    assert all(top(two, i) == f"scope-k{i}" for i in range(100, 130))
    two.clear()
    two.flush()


def test_promotion_under_fire(stores: Stores) -> None:
    """Threads put, delete and search while scopes are promoted and followed; nothing is lost."""
    store = stores()
    fill(store, 0, LIMIT + 10)
    failures: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for i in range(start, start + 120):
                fill(store, i, i + 1)
                assert top(store, i) == f"scope-k{i}"
                if i % 4 == 0:
                    store.delete([f"scope-k{i}"])
                    assert top(store, i) is None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    store.flush()
    assert store.health().index == "chroma"
    for n in range(1, 5):
        for i in range(1000 * n, 1000 * n + 120):
            assert top(store, i) == (None if i % 4 == 0 else f"scope-k{i}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "ftp://host"}, "Chroma server"),
        ({"url": "http://user:secret@host:8000"}, "url_headers"),
        ({"url": "http://host:8000", "index": "scan"}, "url and index"),
        ({"index": 7}, "index is"),
    ],
)
def test_bad_arguments(stores: Stores, options: dict[str, Any], said: str) -> None:
    """What cannot work is named, and no secret is repeated."""
    with pytest.raises(ConfigError, match=said) as caught:
        stores(**options)
    assert "secret" not in str(caught.value)


def test_server_that_is_not_there(stores: Stores) -> None:
    """Without its server the store works, by scanning, and says what is wrong."""
    store = stores(url="http://127.0.0.1:9")
    fill(store, 0, LIMIT + 20)
    assert top(store, 3) == "scope-k3"
    until(lambda: store.health().index.startswith("failed"))
    assert top(store, 4) == "scope-k4"
    with pytest.raises(IndexFailed):
        store.flush()


def test_scan_only_and_own_index(stores: Stores) -> None:
    """The index can be a scan alone, or made by a function of the record."""
    store = stores(index="scan")
    fill(store, 0, LIMIT * 2)
    assert top(store, 70) == "scope-k70"
    assert store.health().index == "scan"
    store.close()
    made: list[HybridIndex] = []

    def make(record: Any) -> HybridIndex:
        made.append(HybridIndex(record, TemporaryHome("wide"), scan_limit=10))
        return made[0]

    store = stores(index=make)
    assert top(store, 70) == "scope-k70"
    assert store._index is made[0]


def test_scopes_that_crowd_the_memory_go_to_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is room a scope is scanned; once scans fill half of it, it is to be indexed."""
    monkeypatch.setattr("semcache_core.indexes.hybrid.SHARED_LIMIT", 10)
    record = MemoryEntries()
    record.put([entry(f"k{i}", vector=wide(i)) for i in range(30)])
    for budget, wanted in ((10**9, False), (1, True)):
        index = HybridIndex(record, TemporaryHome("wide"), scan_limit=1_000, budget=budget)
        assert index.nearest("scope", wide(3), 1)[0].key == "k3"
        assert index._keeper.pending() is wanted
        index.close()
