"""Copying a cache: whole, interrupted, back again, and into one that is in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_values import entry, wide

from semcache_core import SemanticCache
from semcache_core.copying import Copied, copy
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.entries.memory import MemoryEntries
from semcache_core.entries.sql import SqlEntries
from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.models import Entry
from semcache_core.protocols import EntryStore


def filled(count: int) -> MemoryEntries:
    """A record with a history."""
    record = MemoryEntries()
    record.set_meta("embedder", "wide")
    record.put(
        [entry(f"k{i}", vector=wide(i), created=float(i), uses=i, tokens=3) for i in range(count)]
    )
    return record


def fields(record: EntryStore) -> dict[str, list[object]]:
    """All that an entry is, but for its seq."""
    return {
        found.key: [
            np.asarray(value).tolist() if name == "vector" else value
            for name in Entry.__slots__
            if (value := getattr(found, name)) is not None and name != "seq"
        ]
        for found in record.entries()
    }


@pytest.mark.parametrize("kind", ["path", "url"])
def test_there_and_back(tmp_path: Path, kind: str) -> None:
    """Nothing is lost or changed on the way to a database and back, and the order stays."""
    there = tmp_path / "there"
    target = str(there) if kind == "path" else f"sqlite:///{tmp_path / 'there.db'}"
    source, back = filled(1203), MemoryEntries()
    assert copy(source, target) == Copied(1203, copied=1203)
    assert copy(target, back) == Copied(1203, copied=1203)
    assert fields(back) == fields(source)
    assert [e.key for e in back.entries()] == [e.key for e in source.entries()]
    assert back.meta("embedder") == "wide"


def test_interrupted_and_done_again() -> None:
    """What was committed before the interruption is not written a second time."""
    source, target = filled(100), MemoryEntries()

    def stop(state: Copied) -> None:
        if state.done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, batch=20, progress=stop)
    assert target.count() == 60
    seen: list[int] = []
    state = copy(source, target, batch=20, progress=lambda now: seen.append(now.done))
    assert state == Copied(100, copied=40, present=60)
    assert seen == [20, 40, 60, 80, 100]
    assert fields(target) == fields(source)
    assert target.figures().seq == 100


def test_the_newer_answer_stays() -> None:
    """Of two answers to one prompt the one created later is in the target afterwards."""
    source, target = MemoryEntries(), MemoryEntries()
    source.put([entry("a", created=1.0, payload=b"old"), entry("b", created=9.0, payload=b"new")])
    target.put([entry("a", created=5.0, payload=b"new"), entry("b", created=5.0, payload=b"old")])
    assert copy(source, target) == Copied(2, copied=1, present=1)
    assert {e.payload for e in target.entries()} == {b"new"}


def test_expired_entries_stay_behind() -> None:
    """What nobody would be served is not copied."""
    source, target = MemoryEntries(), MemoryEntries()
    source.put([entry("a", expires=10.0), entry("b", expires=30.0)])
    assert copy(source, target, clock=lambda: 20.0) == Copied(2, copied=1, expired=1)
    assert [e.key for e in target.entries()] == ["b"]


def test_reports_and_learning_go_along() -> None:
    """Pairs reported on either side are blocked in the target; what is the record's own stays."""
    source, target = filled(1), filled(1)
    source.set_meta("blocked", '[["p", "e"], ["p", "f"]]')
    target.set_meta("blocked", '[["p", "e"], ["q", "g"]]')
    source.set_meta("policy x", "learnt")
    source.set_meta("policy y", "theirs")
    target.set_meta("policy y", "ours")
    source.set_meta("index.name", "theirs")
    source.set_meta("id", "theirs")
    copy(source, target)
    assert target.meta("blocked") == '[["p", "e"], ["q", "g"], ["p", "f"]]'
    assert target.meta("policy x") == "learnt"
    assert target.meta("policy y") == "ours"
    assert target.meta("index.name") is None
    assert target.meta("id") is None


def test_other_embedder() -> None:
    """Vectors of different embedders are not mixed, and nothing is written."""
    source, target = filled(3), MemoryEntries()
    target.set_meta("embedder", "another")
    with pytest.raises(IncompatibleError, match=r"'another'.*'wide'"):
        copy(source, target)
    assert target.count() == 0


def test_source_that_is_not_there(tmp_path: Path) -> None:
    """A slip of the pen is an error and leaves nothing behind."""
    with pytest.raises(ConfigError, match="no cache in"):
        copy(tmp_path / "cahce", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch", [0, -1, 2.5, "many"])
def test_batch_is_checked(batch: object) -> None:
    """A size that cannot be one is named."""
    with pytest.raises(ConfigError, match="batch"):
        copy(MemoryEntries(), MemoryEntries(), batch=batch)  # type: ignore[arg-type]


def test_onto_itself() -> None:
    """A record is not copied onto itself."""
    record = filled(1)
    with pytest.raises(ConfigError, match="the same record"):
        copy(record, record)


def test_into_a_cache_that_is_open(tmp_path: Path) -> None:
    """An open cache serves what was copied beneath it, exactly and by meaning."""
    with SemanticCache(tmp_path / "a", embedder=HashEmbedder()) as source:
        source.put("how do I reset my password?", "like this")
    with SemanticCache(tmp_path / "b", embedder=HashEmbedder(), poll=0.0) as target:
        assert target.get("how do I reset my password?") is None
        assert copy(tmp_path / "a", tmp_path / "b").copied == 1
        assert target.get("how do I reset my password?") == "like this"


def test_records_that_were_open_stay_open(tmp_path: Path) -> None:
    """Only what the copy opened is closed by it."""
    record = SqlEntries(f"sqlite:///{tmp_path / 'a.db'}")
    copy(filled(3), record)
    assert record.count() == 3
    record.close()
