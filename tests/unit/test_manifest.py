"""Whether an index' files are as they were at a moment of rest."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from semcache_core.indexes.manifest import (
    Rests,
    close_cleanly,
    in_use,
    is_as_closed,
    is_as_rested,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files as Chroma has them, in use."""
    graph = tmp_path / "graph"
    graph.mkdir()
    (graph / "data.bin").write_bytes(b"vectors" * 1000)
    (graph / "links.bin").write_bytes(b"")
    (tmp_path / "chroma.sqlite3").write_bytes(b"rows")
    in_use(tmp_path).touch()
    return tmp_path


def test_closed(folder: Path) -> None:
    """Closing takes the mark away; any change of a graph shows, one of the database does not."""
    assert not is_as_closed(folder)
    close_cleanly(folder)
    assert not in_use(folder).exists()
    assert is_as_closed(folder)
    (folder / "chroma.sqlite3").write_bytes(b"brought to rest")
    assert is_as_closed(folder)
    data = folder / "graph" / "data.bin"
    stamp, content = data.stat(), data.read_bytes()
    data.write_bytes(b"V" + content[1:])
    os.utime(data, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert not is_as_closed(folder)  # as bits rot: neither size nor time tells
    data.write_bytes(content)
    assert is_as_closed(folder)
    (folder / "graph" / "links.bin").unlink()
    assert not is_as_closed(folder)


def test_rested(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a lull counts as rest, and the next write ends it."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rests = Rests(folder)

    def look(later: float) -> bool:
        now[0] += later
        rests.look()
        return is_as_rested(folder)

    assert not look(0.0)
    assert not look(1.9)
    assert look(0.2)
    with (folder / "graph" / "data.bin").open("ab") as file:
        file.write(b"more")
    assert not look(1.0)  # what was noted is no longer so
    assert not look(1.0)
    assert look(1.1)
    assert look(5.0)


@pytest.mark.parametrize("name", ["closed", "rested"])
def test_notes_that_cannot_be_read(folder: Path, name: str) -> None:
    """A note that was cut short is none."""
    close_cleanly(folder)
    (folder / name).write_text('{"graph/data.bin": 1')
    assert not (is_as_closed if name == "closed" else is_as_rested)(folder)
