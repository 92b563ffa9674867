"""The tables of the record, in portable SQL types.

`EntryColumns` is for users who keep entries in a table of their own with further columns, for
instance one for full-text search in PostgreSQL:

    class Answer(EntryColumns, Base):
        __tablename__ = "answers"
        words: Mapped[Any] = mapped_column(
            TSVECTOR, Computed("to_tsvector('english', query)", persisted=True)
        )

Three small tables stand beside it, named after it: `answers_state`, `answers_meta` and
`answers_tombstones`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UnicodeText,
    inspect,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapped, mapped_column

from semcache_core.errors import ConfigError

# MySQL's plain TEXT and BLOB end at 64 KiB, and a database of it may still be one for Latin letters
# only; SQLite wants the very word INTEGER for a row id.
_Blob = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_Text = UnicodeText().with_variant(mysql.TEXT(charset="utf8mb4"), "mysql", "mariadb")
_Long = UnicodeText().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
_Seq = BigInteger().with_variant(Integer(), "sqlite")
_Digest = String(64)


class EntryColumns:
    """The columns of an entry, for a declarative class of the user's (see the module's text).

    Columns that are added must have a default, be computed, or be nullable.
    """

    # The order is SQLite's on disk: what is long stands last, so that reading the rest is cheap.
    seq: Mapped[int] = mapped_column(_Seq, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(_Digest, nullable=False)
    scope: Mapped[str] = mapped_column(_Digest, nullable=False)
    # A digest of the namespace, as databases differ in how they compare texts: by case or not,
    # with trailing blanks or not, empty as null or not. Tenants must not depend on that.
    tenant: Mapped[str] = mapped_column(_Digest, nullable=False)
    dimension: Mapped[int] = mapped_column(Integer, nullable=False)
    created: Mapped[float] = mapped_column(Double, nullable=False)
    expires: Mapped[float | None] = mapped_column(Double, nullable=True)
    last_used: Mapped[float] = mapped_column(Double, nullable=False)
    uses: Mapped[int] = mapped_column(BigInteger, nullable=False)
    tokens: Mapped[int] = mapped_column(BigInteger, nullable=False)
    size_bytes: Mapped[int] = mapped_column(BigInteger, nullable=False)
    model: Mapped[str | None] = mapped_column(_Text, nullable=True)
    namespace: Mapped[str | None] = mapped_column(_Text, nullable=True)
    turns: Mapped[str | None] = mapped_column(_Long, nullable=True)
    query: Mapped[str | None] = mapped_column(_Long, nullable=True)
    vector: Mapped[bytes | None] = mapped_column(_Blob, nullable=True)
    payload: Mapped[bytes] = mapped_column(_Blob, nullable=False)


_INDEXES: dict[str, tuple[tuple[str, ...], bool]] = {
    "key": (("key",), True),
    "scope": (("scope", "seq", "dimension"), False),
    "tenant": (("tenant", "seq"), False),
    "expires": (("expires",), False),
    "lru": (("last_used",), False),
    "lfu": (("uses", "last_used"), False),
}


@dataclass(frozen=True, slots=True)
class Tables:
    """The four tables of one record."""

    entries: Table
    state: Table
    """One row: the counter that gives `seq`, and the totals."""
    meta: Table
    tombstones: Table
    indexes: tuple[Index, ...]

    @property
    def all(self) -> list[Table]:
        return [self.entries, self.state, self.meta, self.tombstones]


def tables(source: Any = None) -> Tables:
    """The tables around `source`: a declarative class, a `Table`, or None for the default one.

    Raises `ConfigError` when columns are missing or cannot be filled.
    """
    entries = _default() if source is None else _checked(source)
    metadata = MetaData(schema=entries.schema)
    return Tables(
        entries=entries,
        state=Table(
            f"{entries.name}_state",
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),
            *(
                Column(name, BigInteger, nullable=False)
                for name in ("seq", "entries", "size_bytes", "trimmed")
            ),
        ),
        meta=Table(
            f"{entries.name}_meta",
            metadata,
            Column("name", String(255), primary_key=True),
            Column("value", _Long, nullable=True),
        ),
        tombstones=Table(
            f"{entries.name}_tombstones",
            metadata,
            Column("seq", _Seq, primary_key=True, autoincrement=False),
            Column("key", _Digest, nullable=False),
            Column("scope", _Digest, nullable=False),
        ),
        indexes=tuple(_index(entries, name) for name in _INDEXES),
    )


def column_names() -> list[str]:
    """The columns that an entry fills, in order."""
    return [name for name in vars(EntryColumns) if not name.startswith("_")]


def _default() -> Table:
    from sqlalchemy.orm import DeclarativeBase

    class Base(DeclarativeBase):
        pass

    class Row(EntryColumns, Base):
        __tablename__ = "semcache"

    return _table(Row)


def _table(source: Any) -> Table:
    if isinstance(source, Table):
        return source
    try:
        mapped = inspect(source).local_table
    except (NoInspectionAvailable, AttributeError):
        mapped = None
    if not isinstance(mapped, Table):
        raise ConfigError(f"table is a declarative class or a Table of SQLAlchemy; got {source!r}")
    return mapped


def _checked(source: Any) -> Table:
    table = _table(source)
    ours = column_names()
    if missing := [name for name in ours if name not in table.c]:
        raise ConfigError(
            f"table {table.name!r} lacks the columns {', '.join(missing)}: let its class inherit"
            " from semcache_core.entries.tables.EntryColumns"
        )
    for column in table.c:
        if column.name not in ours and not _fills_itself(column):
            raise ConfigError(
                f"column {column.name!r} of table {table.name!r} must be nullable, computed, or"
                " have a default: the cache writes only its own columns"
            )
    return table


def _fills_itself(column: Column[Any]) -> bool:
    return bool(
        column.nullable
        or column.default is not None
        or column.server_default is not None
        or column.computed is not None
        or column.identity is not None
        or column is column.table.autoincrement_column
    )


def _index(table: Table, name: str) -> Index:
    full = f"ix_{table.name}_{name}"
    for index in table.indexes:
        if index.name == full:
            return index
    columns, unique = _INDEXES[name]
    return Index(full, *(table.c[column] for column in columns), unique=unique)
