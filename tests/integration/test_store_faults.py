"""A store on a disk that fails it: damaged, read-only, full, busy."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import in_child
from store_values import Wide, entry, wide

from semcache_core.entries.sqlite import open_sqlite
from semcache_core.errors import ConfigError, StoreCorrupt, StoreError, StoreReadOnly
from semcache_core.store import Store, open_store


def opened(path: Path, **options: Any) -> Store:
    """A store whose small scopes are scanned."""
    return open_store(path, embedder=Wide(), **options)


def filled(path: Path, count: int = 200) -> Path:
    """A path with entries k0, k1, ... that was closed cleanly; the SQLite file."""
    with_answers = [
        entry(f"k{i}", vector=wide(i), payload=f"answer {i}".encode() * 30) for i in range(count)
    ]
    store = opened(path)
    store.put(with_answers)
    store.close()
    return path / "entries.sqlite3"


def damage(file: Path, start: float, end: float) -> None:
    """Overwrite a part of a file, given in shares of its length."""
    size = file.stat().st_size
    with file.open("r+b") as handle:
        handle.seek(int(size * start) // 4096 * 4096)
        handle.write(b"\xde\xad" * (int(size * (end - start)) // 2))


# -- damaged ------------------------------------------------------------------------------------


def garbage(file: Path) -> None:
    """Nothing of the file is left."""
    file.write_bytes(b"this was a database" * 1000)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "garbage": garbage,
    "header": lambda file: damage(file, 0.0, 0.01),
    "middle": lambda file: damage(file, 0.3, 0.7),
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_named(tmp_path: Path, kind: str) -> None:
    """Opening names the file and the way out, and leaves the file as it is."""
    file = filled(tmp_path)
    DAMAGES[kind](file)
    before = file.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"entries\.sqlite3 is damaged .*semcache doctor.*move"):
        opened(tmp_path)
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_set_aside(tmp_path: Path, kind: str) -> None:
    """With on_corrupt="move" the file is kept under another name, and the store works."""
    file = filled(tmp_path)
    DAMAGES[kind](file)
    before = file.read_bytes()
    store = opened(tmp_path, on_corrupt="move")
    store.put([entry("new", vector=wide(1000))])
    assert store.get("new") is not None
    [aside] = [
        f
        for f in tmp_path.glob("entries.sqlite3.damaged-*")
        if "-wal" not in f.name and "-shm" not in f.name
    ]
    assert aside.stat().st_size == len(before)
    store.close()
    again = opened(tmp_path)
    assert again.get("new") is not None
    again.close()


def test_readable_rows_are_saved(tmp_path: Path) -> None:
    """What stands outside of the damaged pages is found in the new file, unchanged."""
    file = filled(tmp_path, 400)
    damage(file, 0.4, 0.5)
    store = opened(tmp_path, on_corrupt="move")
    saved = list(store.entries())
    assert 200 < len(saved) < 400
    for found in saved:
        i = int(found.key[1:])
        assert found.payload == f"answer {i}".encode() * 30
        assert store.nearest("scope", wide(i), 1, 0.99)[0].entry.key == found.key
    assert store.meta("embedder") == "wide"
    store.close()


def test_damaged_twice(tmp_path: Path) -> None:
    """A second damaged file does not overwrite the first."""
    for _ in range(2):
        garbage(filled(tmp_path / "cache"))
        opened(tmp_path / "cache", on_corrupt="move").close()
        (tmp_path / "cache" / "entries.sqlite3").unlink()
    names = {
        f.name for f in (tmp_path / "cache").glob("*.damaged-*") if f.suffix not in ("-wal", "-shm")
    }
    assert len(names) == 2


def test_damage_found_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage in a file too large to be looked through is reported by the read that meets it."""
    monkeypatch.setattr("semcache_core.entries.sqlite._CHECKED", 0)
    damage(filled(tmp_path), 0.6, 0.9)
    store = opened(tmp_path)
    with pytest.raises(StoreCorrupt, match=r"entries\.sqlite3 is damaged"):
        for i in range(200):
            store.get(f"k{i}")
    with pytest.raises(StoreCorrupt):
        store._entries.check()  # type: ignore[attr-defined]  # an SqlEntries
    store.close()


@pytest.mark.parametrize("value", ["delete", "", None])
def test_on_corrupt_is_checked(tmp_path: Path, value: Any) -> None:
    """Only the two ways that exist are taken."""
    with pytest.raises(ConfigError, match="on_corrupt"):
        opened(tmp_path, on_corrupt=value)


def test_path_is_a_file(tmp_path: Path) -> None:
    """A path that cannot be a folder is named."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        opened(tmp_path / "file")


# -- read-only ----------------------------------------------------------------------------------


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for found in [folder, *folder.rglob("*")]:
        if found.is_dir():
            found.chmod(0o755)
    shutil.rmtree(folder)


def unprivileged(work: Callable[[], None]) -> None:
    """Run `work` as a user whom file modes restrict, in a child process."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def frozen(folder: Path, file: Path, whole_folder: bool) -> None:
    """Take the right to write away."""
    for found in folder.rglob("*"):
        found.chmod(0o555 if found.is_dir() else 0o444)
    if whole_folder:
        folder.chmod(0o555)
    else:
        folder.chmod(0o777)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_read_only(public: Path, whole_folder: bool) -> None:
    """Where nothing can be written, answers are served, and writing says so."""
    cache = public / "cache"
    frozen(cache, filled(cache), whole_folder)

    def work() -> None:
        store = opened(cache)
        assert store.get("k3").payload == b"answer 3" * 30
        assert store.nearest("scope", wide(4), 1, 0.99)[0].entry.key == "k4"
        assert store.health().read_only
        with pytest.raises(StoreReadOnly):
            store.put([entry("new", vector=wide(500))])
        with pytest.raises(StoreReadOnly):
            store.delete(["k3"])
        store.touch("k3")
        store.flush()
        store.close()

    unprivileged(work)


def test_read_only_after_a_kill(public: Path) -> None:
    """Commits that only the log has are served as well."""
    cache = public / "cache"
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]);"
        "from test_store_faults import opened, entry, wide; from pathlib import Path;"
        "store = opened(Path(sys.argv[1])); store.put([entry('k1', vector=wide(1))]);"
        "os.kill(os.getpid(), 9)"
    )
    folders = os.pathsep.join(filter(None, sys.path))
    subprocess.run(
        [sys.executable, "-c", code, str(cache), str(Path(__file__).parent)],
        env=os.environ | {"PYTHONPATH": folders},
        check=False,
    )
    assert (cache / "entries.sqlite3-wal").stat().st_size > 0
    frozen(cache, cache / "entries.sqlite3", whole_folder=True)

    def work() -> None:
        store = opened(cache)
        assert store.get("k1") is not None
        store.close()

    unprivileged(work)


def test_nothing_there_and_nothing_can_be_made(public: Path) -> None:
    """An empty read-only folder is an error at once, not at the first put."""
    (public / "cache").mkdir(mode=0o555)

    def work() -> None:
        for path in (public / "cache", public / "cache" / "below"):
            with pytest.raises(StoreReadOnly):
                opened(path)

    unprivileged(work)


# -- full ---------------------------------------------------------------------------------------


def until_full(store: Store) -> int:
    """Put large entries until one is refused; how many were kept."""
    for i in range(1000):
        try:
            store.put([entry(f"big{i}", vector=wide(i), payload=bytes(50_000))])
        except StoreError:
            return i
    raise AssertionError("the disk never got full")


def test_file_size_limit(tmp_path: Path) -> None:
    """When the file cannot grow, puts fail cleanly, and what is there is served."""

    def work() -> None:
        store = opened(tmp_path)
        store.put([entry("first", vector=wide(5000))])
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
        kept = until_full(store)
        assert kept > 5
        assert store.get("first") is not None
        for i in range(kept):
            assert store.get(f"big{i}") is not None
        assert store.get(f"big{kept}") is None
        assert store.nearest("scope", wide(kept), 1, 0.99) == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        store.put([entry("later", vector=wide(6000))])
        store.close()
        again = opened(tmp_path)
        assert again.count() == kept + 2
        again._entries.check()  # type: ignore[attr-defined]  # an SqlEntries
        again.close()

    in_child(work)


def test_full_disk(tmp_path: Path) -> None:
    """On a full file system puts fail cleanly, deletions make room, and puts work again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        store = opened(disk / "cache")
        kept = until_full(store)
        assert kept > 5
        assert all(store.get(f"big{i}") for i in range(kept))
        assert store.get(f"big{kept}") is None
        (disk / "cache" / "entries.sqlite3-wal").stat()
        store.close()
        again = opened(disk / "cache")
        assert again.count() == kept
        assert all(again.get(f"big{i}") for i in range(kept))
        again.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# -- busy ---------------------------------------------------------------------------------------


def test_waits_for_another_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put waits for a foreign transaction, reads go on meanwhile, and nobody sees "locked"."""
    monkeypatch.setattr("semcache_core.entries.sql.PATIENCE", 60.0)  # a busy machine is slow
    file = filled(tmp_path)
    store = opened(tmp_path)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writer = threading.Thread(target=store.put, args=([entry("late", vector=wide(900))],))
    writer.start()
    time.sleep(0.3)
    assert writer.is_alive()
    assert store.get("k5") is not None
    assert store._entries.get(["k6"])
    other.execute("ROLLBACK")
    writer.join(20)
    assert store.get("late") is not None
    other.close()
    store.close()


def test_gives_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that stays locked is a clear error."""
    monkeypatch.setattr("semcache_core.entries.engines.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("semcache_core.entries.sql.PATIENCE", 0.1)
    file = filled(tmp_path)
    record = open_sqlite(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="stayed busy"):
        record.put([entry("a")])
    other.close()
    record.put([entry("a")])
    record.close()
