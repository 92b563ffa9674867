"""What `doctor` finds, one trouble at a time."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

from semcache_core.cache import SemanticCache
from semcache_core.diagnosis import Finding, diagnosed
from semcache_core.embedders import HashEmbedder
from semcache_core.entries.tables import tables
from semcache_core.envelope import seal
from semcache_core.errors import ConfigError

TABLE = tables(None).entries.name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small sound cache."""
    with SemanticCache(tmp_path, embedder=HashEmbedder()) as cache:
        for number in range(3):
            cache.put(f"what is number {number}", f"it is {number}")
    return tmp_path


def found(folder: Path, check: str, **how: Any) -> list[Finding]:
    """The findings of one check."""
    how.setdefault("embedder", HashEmbedder())
    return [one for one in diagnosed(str(folder), **how) if one.check == check]


def changed(folder: Path, column: str, value: object) -> None:
    """Put something into one row, behind the record's back."""
    with sqlite3.connect(folder / "entries.sqlite3") as record:
        record.execute(
            f"UPDATE {TABLE} SET {column} = ? WHERE seq = (SELECT min(seq) FROM {TABLE})", (value,)
        )


def test_all_is_well(folder: Path) -> None:
    """Each check says so once."""
    told = diagnosed(str(folder), embedder=HashEmbedder())
    assert [one.check for one in told] == [
        "disk",
        "locks",
        "database",
        "entries",
        "embedder",
        "index",
    ]
    assert {one.level for one in told if one.check != "disk"} == {"ok"}


def test_where_there_is_no_cache(tmp_path: Path) -> None:
    """Nothing is looked at, and nothing made."""
    with pytest.raises(ConfigError, match="no cache"):
        diagnosed(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is one for SQLite."""

    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 1000))
    assert found(folder, "disk")[0].level == "warning"


def test_a_lock_that_is_held_is_no_trouble(folder: Path) -> None:
    """And a file of one that is not held is none either."""
    (folder / "index").mkdir()
    lock = FileLock(folder / "index" / "owner.lock")
    with lock:
        assert "another process" in found(folder, "locks")[0].said
    assert "none is held" in found(folder, "locks")[0].said


def test_an_index_that_was_not_closed_is_noted(folder: Path) -> None:
    """A killed process leaves its mark behind."""
    mark = folder / "index" / f"{7:018}"
    mark.mkdir(parents=True)
    (mark / "in-use").touch()
    assert found(folder, "locks")[0].level == "note"
    assert found(folder, "index")[0].level == "warning"
    assert found(folder, "index", repair=True)[0].level == "mended"
    assert not (folder / "index").exists()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("payload", b"", "envelope"),
        ("payload", seal("json", b"{"), "not JSON"),
        ("vector", b"\0" * 1024, "unit length"),
        ("payload", seal("llamaindex.chat", b"7"), "Error"),
    ],
)
def test_an_entry_that_cannot_be_served_is_named(
    column: str, value: bytes, said: str, folder: Path
) -> None:
    """With what is wrong; repairing deletes it and nothing else."""
    changed(folder, column, value)
    bad = found(folder, "entries")[0]
    assert bad.level == "error"
    assert said in bad.said
    assert found(folder, "entries", repair=True)[0].level == "mended"
    assert [one.level for one in found(folder, "entries")] == ["ok"]
    assert "2 looked at" in found(folder, "entries")[0].said


def test_an_answer_of_a_package_that_is_not_here_is_none_of_these(folder: Path) -> None:
    """Another environment may read it."""
    changed(folder, "payload", seal("elsewhere", b"x"))
    assert [one.level for one in found(folder, "entries")] == ["ok"]


def test_rows_that_cannot_be_read_are_counted(folder: Path) -> None:
    """They count as missing in lookups."""
    changed(folder, "dimension", 7)
    assert "1 rows cannot be read" in found(folder, "entries")[0].said


def test_expired_entries_are_counted(folder: Path) -> None:
    """They are no damage."""
    changed(folder, "expires", 1.0)
    assert "1 of them expired" in found(folder, "entries")[0].said


def test_a_vector_of_another_length_is_found(folder: Path) -> None:
    """By what the record says of its embedder; nonsense there is passed over."""
    with SemanticCache(folder, embedder=HashEmbedder()) as cache:
        cache._parts.store.set_meta("dimension", "7")
    assert "256 numbers" in found(folder, "entries")[0].said
    with sqlite3.connect(folder / "entries.sqlite3") as record:
        record.execute(f"UPDATE {tables(None).meta.name} SET value = 'x' WHERE name = 'dimension'")
    assert found(folder, "entries")[0].level == "ok"


def test_the_embedder_is_compared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An error if it is named, a note if it is the default one, nothing without vectors."""
    assert found(folder, "embedder", embedder=HashEmbedder(64))[0].level == "error"
    assert found(folder, "embedder", embedder=None)[0].level == "note"
    assert found(folder, "embedder", embedder="no/such folder")[0].level == "note"
    empty = tmp_path_factory.mktemp("empty")
    SemanticCache(empty, embedder=HashEmbedder()).close()
    assert "no vectors" in found(empty, "embedder")[0].said


def test_a_database_that_is_none_is_set_aside(tmp_path: Path) -> None:
    """Nothing can be saved from it; a database by URL is left to its own tools."""
    (tmp_path / "entries.sqlite3").write_bytes(b"no database" * 1000)
    assert found(tmp_path, "database")[0].level == "error"
    url = diagnosed(f"sqlite:///{tmp_path}/entries.sqlite3", url=True, repair=True)
    assert [(one.check, one.level) for one in url] == [("database", "error")]
    mended = found(tmp_path, "database", repair=True)[0]
    assert mended.level == "mended"
    assert "0 entries were saved" in mended.said
    assert list(tmp_path.glob("*.damaged-*"))


def test_progress_is_told(folder: Path) -> None:
    """Now and then, in a large cache."""
    with SemanticCache(folder, embedder=HashEmbedder()) as cache:
        cache.warm([(f"what is {number}", "a") for number in range(600)])
    told: list[int] = []
    diagnosed(str(folder), embedder=HashEmbedder(), tell=told.append)
    assert told == [500]
