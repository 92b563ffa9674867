"""A store shared by processes: forked, spawned, one after the other and all at once."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store_values import Wide, entry, wide

from semcache_core.store import Store, open_store

LIMIT = 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one scope that is scanned."""
    made = opened(tmp_path)
    made.put([entry(f"k{i}", vector=wide(i)) for i in range(20)])
    yield made
    made.close()


def opened(path: Path, **options: Any) -> Store:
    """A store that looks for others' changes at each lookup."""
    return open_store(path, embedder=Wide(), **({"scan_limit": LIMIT, "poll": 0.0} | options))


def top(store: Store, i: int) -> str | None:
    """The key nearest to the i-th vector."""
    found = store.nearest("scope", wide(i), 1, 0.99)
    return found[0].entry.key if found else None


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def forked(work: Callable[[], None]) -> Callable[[], None]:
    """Start `work` in a forked child; what is returned waits and checks that it went well."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(status)

    def join() -> None:
        assert os.waitpid(pid, 0)[1] == 0

    return join


def test_fork(store: Store) -> None:
    """A child inherits an open store and works with it; both see what the other does."""
    assert top(store, 3) == "k3"
    store.touch("k3")

    def child() -> None:
        assert store.get("k3") is not None
        assert top(store, 4) == "k4"
        store.put([entry("child", vector=wide(100))])
        until(lambda: store.get("parent"))
        assert top(store, 200) == "parent"
        store.touch("k3")
        store.flush()
        store.close()

    join = forked(child)
    store.put([entry("parent", vector=wide(200))])
    until(lambda: store.get("child"))
    assert top(store, 100) == "child"
    join()
    store.flush()
    assert store._entries.get(["k3"])["k3"].uses == 2
    store._entries.check()  # type: ignore[attr-defined]  # an SqlEntries


def test_fork_with_an_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child goes on without the index, which cannot be used after a fork, and finds all."""
    monkeypatch.setattr("semcache_core.indexes.keeper._RETRY", 0.05)
    store.put([entry(f"k{i}", vector=wide(i)) for i in range(LIMIT + 20)])
    assert top(store, 3) == "k3"
    store.flush()
    assert store.health().owner

    def child() -> None:
        assert top(store, 3) == "k3"
        store.put([entry("child", vector=wide(100))])
        assert top(store, 100) == "child"
        until(lambda: store.get("over"))
        store.put([entry("second", vector=wide(101))])
        store.flush()
        assert [top(store, i) for i in (3, 100, 101, 102)] == ["k3", "child", "second", "over"]
        assert (store.health().owner, store.health().index) == (False, "scan")
        store.close()

    join = forked(child)
    until(lambda: top(store, 100) == "child")
    until(lambda: store.health().pending == 0)
    assert (store.health().owner, store.health().index) == (True, "chroma")
    store.put([entry("over", vector=wide(102))])
    join()
    assert top(store, 101) == "second"


def test_takes_over_from_a_killed_owner(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the process that writes the index dies, another one goes on with it."""
    monkeypatch.setattr("semcache_core.indexes.keeper._RETRY", 0.05)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(Path(__file__).parent)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline().strip() == "True"
    assert top(store, 50) == "o50"
    store.touch("o50")
    time.sleep(0.2)
    assert not store.health().owner
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: store.health().index == "chroma")
    assert store.health().owner
    assert top(store, 50) == "o50"


OWNER = f"""
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store_processes import entry, opened, top, wide
store = opened(Path(sys.argv[1]))
store.put([entry(f"o{{i}}", vector=wide(i)) for i in range(20, {LIMIT + 40})])
top(store, 30)
store.flush()
print(store.health().owner, flush=True)
time.sleep(60)
"""


def test_fork_of_a_store_in_memory() -> None:
    """The child goes on with a copy of its own, and the parent's is not touched."""
    store = open_store(embedder=Wide(), scan_limit=LIMIT)
    store.put([entry(f"k{i}", vector=wide(i)) for i in range(LIMIT + 20)])
    store.nearest("scope", wide(3), 1)
    store.flush()

    def child() -> None:
        assert top(store, 3) == "k3"
        store.put([entry("child", vector=wide(100))])
        store.flush()
        assert top(store, 100) == "child"
        assert store.health().index == "scan"
        store.close()

    forked(child)()
    assert top(store, 3) == "k3"
    assert top(store, 100) is None
    assert store.health().index == "chroma"
    store.put([entry("parent", vector=wide(101))])
    store.flush()
    assert top(store, 101) == "parent"
    store.close()


def test_fork_while_threads_write(store: Store) -> None:
    """Children forked in the middle of other threads' puts do not hang."""
    import threading

    stop = threading.Event()

    def write(name: str) -> None:
        i = 0
        while not stop.is_set():
            i += 1
            store.put([entry(f"{name}-{i}", vector=wide(i))])
            store.get(f"{name}-{i}")
            top(store, i)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()

    def child(i: int) -> Callable[[], None]:
        def work() -> None:
            store.put([entry(f"child{i}", vector=wide(1000 + i))])
            assert top(store, 1000 + i) == f"child{i}"
            store.close()

        return work

    for i in range(5):
        time.sleep(0.05)
        forked(child(i))()
    stop.set()
    for thread in threads:
        thread.join()
    assert all(store.get(f"child{i}") for i in range(5))
    store._entries.check()  # type: ignore[attr-defined]  # an SqlEntries


def work_along(path: Path, name: str, count: int, options: dict[str, Any]) -> None:
    """Put and read as one of several processes."""
    store = opened(path, **options)
    for i in range(count):
        store.put([entry(f"{name}-{i}", vector=wide(hash_of(name, i)), created=time.time())])
        store.touch(f"{name}-{i}")
        # Others may have evicted it by now, but then it is gone from every tier.
        found = top(store, hash_of(name, i)) == f"{name}-{i}"
        assert found or store._entries.get([f"{name}-{i}"]) == {}
    store.close()


def hash_of(name: str, i: int) -> int:
    """A number for each of a process's entries."""
    return ord(name[0]) * 10_000 + i


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_four_processes(tmp_path: Path, way: str) -> None:
    """Four processes open one path at the same moment; nothing is lost, and all is found."""
    count = 30
    context = multiprocessing.get_context(way)
    workers = [
        context.Process(target=work_along, args=(tmp_path, name, count, {})) for name in "abcd"
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    store = opened(tmp_path)
    assert store.count() == 4 * count
    assert all(top(store, hash_of(n, i)) == f"{n}-{i}" for n in "abcd" for i in range(count))
    store.flush()
    assert store.health().index == "chroma"
    assert all(top(store, hash_of(n, i)) == f"{n}-{i}" for n in "abcd" for i in range(count))
    assert store.size() == sum(found.size for found in store.entries())
    store.close()


def test_four_processes_with_eviction(tmp_path: Path) -> None:
    """Limits hold across processes, and the figures stay right."""
    context = multiprocessing.get_context("fork")
    limits = {"max_entries": 50}
    workers = [
        context.Process(target=work_along, args=(tmp_path, name, 60, limits)) for name in "abcd"
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    store = opened(tmp_path)
    kept = list(store.entries())
    assert 40 <= len(kept) <= 53
    assert (store.count(), store.size()) == (len(kept), sum(found.size for found in kept))
    assert all(top(store, hash_of(*split(found.key))) == found.key for found in kept)
    store.close()


def split(key: str) -> tuple[str, int]:
    """The parts of a key."""
    name, i = key.split("-")
    return name, int(i)
