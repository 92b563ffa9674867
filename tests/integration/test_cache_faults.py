"""A cache whose disk, database or neighbours fail it: calls go through, and somebody is told."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from children import in_child

from semcache_core import SemanticCache
from semcache_core.embedders.testing import HashEmbedder

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def opened(path: Path, **options: object) -> SemanticCache:
    """A cache on disk with a quick embedder."""
    return SemanticCache(path, embedder=HashEmbedder(), **options)  # type: ignore[arg-type]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process is in the middle of a long transaction."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path / "entries.sqlite3")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.communicate(b"\n", timeout=30)


def warned(caplog: pytest.LogCaptureFixture, *words: str) -> bool:
    """Whether one line of the log has all the words; no line is a traceback, and none an error."""
    assert not [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]
    return any(all(word in r.getMessage() for word in words) for r in caplog.records)


# -- locked -------------------------------------------------------------------------------------


def test_locked_by_another_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lookups go on, a put gives up soon, the next ones sooner, and each is counted."""
    with opened(tmp_path) as cache:
        assert cache.put("what is there", "this")
        with held(tmp_path):
            waits = []
            for number in range(4):
                begun = time.monotonic()
                assert not cache.put(f"new {number}", "that")
                waits.append(time.monotonic() - begun)
                assert cache.get("what is there") == "this"
            assert sum(waits) < 10  # it was 30 s for each
            assert sum(waits[1:]) < waits[0] * 3
            assert cache.stats().errors["StoreBusy"] >= 4  # counting uses may have failed too
            assert cache.stats().not_stored == {"StoreBusy": 4}
            assert warned(caplog, "not stored", "stayed busy", "entries.sqlite3")
        assert cache.put("new 0", "that")
        assert cache.get("new 0") == "that"


def test_uses_never_wait(tmp_path: Path) -> None:
    """Hits are served at once while their counts cannot be written, which happens later."""
    with opened(tmp_path) as cache:
        cache.put("what is there", "this")
        with held(tmp_path):
            time.sleep(0.1)
            begun = time.monotonic()
            for _ in range(200):
                assert cache.get("what is there") == "this"
            assert not cache.flush()
            assert time.monotonic() - begun < 10
            assert cache.stats().errors
        assert cache.flush()
        [entry] = cache._parts.store.entries()
        assert entry.uses == 200


def test_many_threads_wait_together(tmp_path: Path) -> None:
    """Threads do not queue up behind one another's waiting."""
    from concurrent.futures import ThreadPoolExecutor

    with opened(tmp_path) as cache:
        cache.put("first", "this")
        with held(tmp_path), ThreadPoolExecutor(16) as pool:
            begun = time.monotonic()
            stored = list(pool.map(lambda i: cache.put(f"q{i}", "a"), range(32)))
            assert not any(stored)
            assert time.monotonic() - begun < 15  # one after the other would be 32 s
        assert cache.stats().not_stored == {"StoreBusy": 32}


def test_opened_while_locked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A program can start, and read, while another one holds the lock."""
    opened(tmp_path).close()
    with held(tmp_path), opened(tmp_path) as cache:
        assert warned(caplog, "stayed busy")
        assert cache.get("anything") is None
        assert not cache.put("a", "b")


# -- damaged ------------------------------------------------------------------------------------


def damage(path: Path) -> None:
    """Overwrite the file behind an open cache's back."""
    for suffix in ("", "-wal"):
        file = path / f"entries.sqlite3{suffix}"
        if file.exists() and (size := file.stat().st_size):
            with file.open("r+b") as handle:
                handle.write(b"\xde\xad" * (size // 2))


def test_damaged_while_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing raises: lookups miss, puts are refused, figures say what failed."""
    with opened(tmp_path) as cache:
        for number in range(200):
            cache.put(f"question {number}", "answer" * 200)
        cache._parts.store._entries._drop_idle()  # type: ignore[attr-defined]  # an SqlEntries
        damage(tmp_path)
        with opened_anew(cache):
            assert cache.get("never asked") is None
            assert not cache.put("new", "answer")
            stats = cache.stats()
            assert set(stats.errors) <= {"StoreCorrupt", "StoreError"}
            assert sum(stats.errors.values()) >= 3
            assert stats.not_stored
            explained = cache.explain("never asked")
            assert not explained.outcome
            assert "cache failure" in str(explained)
            cache.flush()
            assert warned(caplog, "is damaged", "semcache doctor")


@contextmanager
def opened_anew(cache: SemanticCache) -> Iterator[None]:
    """SQLite forgets the pages it has in memory."""
    cache._parts.store._entries._engine.dispose()  # type: ignore[attr-defined]  # an SqlEntries
    yield


# -- removed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["file", "folder"])
def test_removed_while_open(tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """The next put makes the file anew and says so once; what it stores outlives the process."""
    path = tmp_path / "cache"
    with opened(path) as cache:
        cache.put("before", "old")
        if what == "file":
            for file in path.glob("entries.sqlite3*"):
                file.unlink()
        else:
            shutil.rmtree(path)
        assert cache.put("after", "new")
        assert cache.stats().errors == {"StoreReplaced": 1}
        assert warned(caplog, "removed or exchanged", "entries.sqlite3")
        assert cache.put("later", "newer")
        assert cache.get("before") is None
        assert cache.stats().entries == 2
        assert cache.stats().errors == {"StoreReplaced": 1}
    with opened(path) as again:
        assert (again.get("after"), again.get("later")) == ("new", "newer")
        assert again._parts.store.meta("embedder")


def test_reader_finds_the_file_that_took_its_place(tmp_path: Path) -> None:
    """A process that only reads does not stay with a file that is gone."""
    path = tmp_path / "cache"
    with opened(path, poll=0.0) as reader, opened(path, poll=0.0) as writer:
        writer.put("before", "old")
        assert reader.get("before") == "old"
        shutil.rmtree(path)
        assert writer.put("after", "new")
        assert reader.get("after") == "new"
        assert reader.get("before") is None


def test_folder_that_cannot_be_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the folder was there is a file now: puts are refused, counted, and nothing raises."""
    path = tmp_path / "cache"
    with opened(path) as cache:
        cache.put("before", "old")
        shutil.rmtree(path)
        path.write_text("in the way")
        assert not cache.put("after", "new")
        assert cache.stats().not_stored == {"StoreError": 1}
        assert cache.get("after") is None
        assert warned(caplog, "not stored", "cannot be made")
        path.unlink()
        assert cache.put("after", "new")


# -- full ---------------------------------------------------------------------------------------


def test_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk puts are refused, flushing says no, and the background stays quiet."""

    def work() -> None:
        cache = opened(tmp_path, scan_limit=20)
        assert cache.put("first", "this")
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
        kept = [cache.put(f"question {i}", "x" * 50_000) for i in range(80)]
        assert any(kept) and not all(kept)
        while cache.put(f"small {len(kept)}", "x"):
            kept.append(True)
        cache.flush()
        assert sum(cache.stats().errors.values()) >= 2
        assert set(cache.stats().errors) == {"StoreError"}
        assert cache.get("first") == "this"
        assert cache.get("question 0") == "x" * 50_000
        time.sleep(1.5)  # the background tries
        assert warned(caplog, "not stored", "the disk is full")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert cache.put("later", "that")
        cache.close()

    in_child(work)


def test_closing_a_cache_that_failed(tmp_path: Path) -> None:
    """close() never raises, whatever became of the database."""
    cache = opened(tmp_path)
    cache.put("a", "b")
    damage(tmp_path)
    cache._parts.store._entries._engine.dispose()  # type: ignore[attr-defined]  # an SqlEntries
    cache.get("a")
    cache.close()
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "entries.sqlite3").execute("SELECT * FROM semcache")


# -- handles and clocks ---------------------------------------------------------------------------


def test_no_more_file_handles(tmp_path: Path) -> None:
    """A process without file handles has misses; with handles again it has its cache again."""

    def work() -> None:
        cache = opened(tmp_path)
        assert cache.put("before", "this")
        cache._parts.store._entries._drop_idle()  # type: ignore[attr-defined]  # an SqlEntries
        cache._parts.store._entries._engine.dispose()  # type: ignore[attr-defined]
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(found.name) for found in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, limits[1]))
        taken = []
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        assert cache.get("unheard of") is None
        # A handle that something else gives back meanwhile may be enough for it.
        assert cache.put("meanwhile", "that") or cache.stats().errors
        cache.explain("unheard of")
        cache.flush()
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert cache.put("afterwards", "that")
        assert cache.get("before") == "this"
        cache.close()

    in_child(work)


def test_clock_that_jumps(tmp_path: Path) -> None:
    """A clock put forward and back ends and unends entries, and breaks nothing."""
    now = [1_700_000_000.0]
    year = 365 * 86_400.0
    with opened(tmp_path, clock=lambda: now[0], ttl=3_600.0, max_entries=20) as cache:
        assert cache.put("short", "lived")
        assert cache.put("long", "lived", ttl=10 * year)
        now[0] += year
        assert cache.get("short") is None
        assert cache.get("long") == "lived"
        now[0] -= 2 * year
        assert cache.get("long") == "lived"
        assert all(cache.put(f"question {i}", i) for i in range(40))
        assert cache.stats().entries <= 20
        assert cache.get("question 39") == 39
        assert cache.flush()
        assert not cache.stats().errors
