"""Rows read past SQLAlchemy are those that it reads, and its errors are those that are raised."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import DeclarativeBase
from store_values import entry, unit

from semcache_core.entries import quick, sql
from semcache_core.entries.quick import QuickRows
from semcache_core.entries.sql import SqlEntries
from semcache_core.entries.tables import EntryColumns
from semcache_core.errors import StoreError
from semcache_core.models import Entry, VectorPage


class Base(DeclarativeBase):
    """For a class as a user would write it."""


class Answer(EntryColumns, Base):
    """A table of the user's."""

    __tablename__ = "answers"


def fields(found: dict[str, Entry]) -> dict[str, Any]:
    """What can be compared: entries hold arrays."""
    names = [name for name in Entry.__slots__ if name != "vector"]
    return {
        key: [getattr(one, name) for name in names]
        + [None if one.vector is None else one.vector.tobytes()]
        for key, one in found.items()
    }


@pytest.mark.parametrize("wanted", [["a"], ["b", "a"], ["a", "nobody", "a"], ["nobody"], []])
def test_the_same_rows(tmp_path: Path, wanted: list[str]) -> None:
    """One key or several, there or not."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r")
    record.put([entry("a", turns=("x",), tokens=7), entry("b", vector=None, expires=1.5)])
    quickly = fields(record.get(wanted))
    assert record._asked._quick is not None
    record._asked._quick = None
    assert quickly == fields(record.get(wanted))
    assert sorted(quickly) == sorted({"a", "b"} & set(wanted))
    record.close()


def test_more_keys_than_a_statement_takes(tmp_path: Path) -> None:
    """Thousands of keys are read in parts."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r")
    record.put([entry(f"k{i}", vector=unit(1)) for i in range(1_200)])
    assert len(record.get([f"k{i}" for i in range(2_000)])) == 1_200
    record.close()


def flat(parts: Iterable[VectorPage | Entry]) -> list[tuple[str, int, bytes]]:
    """Keys, seqs and vectors, in order, however they came."""
    found: list[tuple[str, int, bytes]] = []
    for part in parts:
        if isinstance(part, Entry):
            assert part.vector is not None
            found.append((part.key, part.seq, part.vector.tobytes()))
        else:
            rows = zip(part.keys, part.seqs.tolist(), part.rows, strict=True)
            found += [(key, seq, row.tobytes()) for key, seq, row in rows]
    return found


def test_pages_hold_what_the_rows_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All vectors of a scope and of no other, whatever their bytes, in the order of their seq."""
    monkeypatch.setattr(quick, "_PAGE", 7)
    record = SqlEntries(f"sqlite:///{tmp_path}/r")
    drawn = np.random.default_rng(3).integers(0, 256, (40, 32)).astype(np.uint8)
    record.put([entry(f"k{i}", vector=row.view("<f4")) for i, row in enumerate(drawn)])
    record.put([entry("x", vector=None), entry("y", scope="other"), entry("k3", vector=unit(1, 8))])
    pages = list(record.vectors("scope"))
    assert [len(page) for page in pages if isinstance(page, VectorPage)] == [7, 7, 7, 7, 7, 5]
    assert [page.ahead for page in pages if isinstance(page, VectorPage)] == [33, 26, 19, 12, 5, 0]
    expected = [
        (e.key, e.seq, e.vector.tobytes()) for e in record.scope("scope") if e.vector is not None
    ]
    assert flat(pages) == expected
    assert len(expected) == 40
    assert list(record.vectors("nowhere")) == []
    record.close()


@pytest.mark.parametrize(
    "damage",
    [
        "vector = 'a text of 16 chr'",
        "vector = x'00'",
        "vector = NULL",
        "dimension = 3",
        "key = 'a,b'",
        "key = x'ff'",
    ],
)
def test_pages_with_a_damaged_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Such a page is read row by row, as before; the others are not."""
    monkeypatch.setattr(quick, "_PAGE", 5)
    monkeypatch.setattr(sql, "_PAGE", 5)
    record = SqlEntries(f"sqlite:///{tmp_path}/r")
    record.put([entry(f"k{i}", vector=unit(i + 1)) for i in range(15)])
    with sqlite3.connect(tmp_path / "r") as other:
        other.execute(f"UPDATE semcache SET {damage} WHERE key = 'k7'")
    expected = [
        (e.key, e.seq, e.vector.tobytes()) for e in record.scope("scope") if e.vector is not None
    ]
    pages = list(record.vectors("scope"))
    assert flat(pages) == expected
    assert [type(page) for page in pages][0 :: len(pages) - 1] == [VectorPage, VectorPage]
    assert any(isinstance(page, Entry) for page in pages)
    record.close()


def test_pages_of_a_table_of_the_users(tmp_path: Path) -> None:
    """Its entries come one by one."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r", table=Answer)
    record.put([entry("a"), entry("b")])
    assert [part.key for part in record.vectors("scope") if isinstance(part, Entry)] == ["a", "b"]
    record.close()


def test_only_the_default_table(tmp_path: Path) -> None:
    """A user's may convert what it holds."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r", table=Answer)
    record.put([entry("a")])
    assert record._asked._quick is None
    assert list(record.get(["a"])) == ["a"]
    record.close()


def test_what_goes_wrong_is_said_in_the_ordinary_way(tmp_path: Path) -> None:
    """An error of the driver becomes a `StoreError` that names the file."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r")
    record.put([entry("a")])
    with sqlite3.connect(tmp_path / "r") as other:
        other.execute("DROP TABLE semcache")
    with pytest.raises(StoreError, match=str(tmp_path)):
        record.get(["a"])
    record.close()


def test_another_driver_is_left_alone(tmp_path: Path) -> None:
    """A connection that is not `sqlite3`'s is read by SQLAlchemy."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r")

    class Other:
        class connection:  # as SQLAlchemy calls it
            driver_connection = object()

    assert isinstance(record._asked._quick, QuickRows)
    assert record._asked._quick.rows(Other, ["a"]) is None  # type: ignore[arg-type]  # a stand-in
    record.close()
