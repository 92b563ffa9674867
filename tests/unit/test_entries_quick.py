"""Rows read past SQLAlchemy are those that it reads, and its errors are those that are raised."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase
from store_values import entry, unit

from semcache_core.entries.quick import QuickRows
from semcache_core.entries.sql import SqlEntries
from semcache_core.entries.tables import EntryColumns
from semcache_core.errors import StoreError
from semcache_core.models import Entry


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
    assert record._quick is not None
    record._quick = None
    assert quickly == fields(record.get(wanted))
    assert sorted(quickly) == sorted({"a", "b"} & set(wanted))
    record.close()


def test_more_keys_than_a_statement_takes(tmp_path: Path) -> None:
    """Thousands of keys are read in parts."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r")
    record.put([entry(f"k{i}", vector=unit(1)) for i in range(1_200)])
    assert len(record.get([f"k{i}" for i in range(2_000)])) == 1_200
    record.close()


def test_only_the_default_table(tmp_path: Path) -> None:
    """A user's may convert what it holds."""
    record = SqlEntries(f"sqlite:///{tmp_path}/r", table=Answer)
    record.put([entry("a")])
    assert record._quick is None
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

    assert isinstance(record._quick, QuickRows)
    assert record._quick.rows(Other, ["a"]) is None  # type: ignore[arg-type]  # a stand-in
    record.close()
