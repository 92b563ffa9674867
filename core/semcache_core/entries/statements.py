"""Every statement of the record, built once. Portable: no upsert, no returning, no dialect's own.

Parameters are named as they are bound. A replaced entry is deleted and inserted anew in one
transaction, as no form of upsert is known to all databases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Delete,
    Executable,
    Insert,
    Select,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from semcache_core.entries.tables import Tables, column_names

_HEAVY = ("payload",)


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements over one set of tables."""

    one: Select[Any]
    many: Select[Any]
    after: Select[Any]
    """Whole rows above a seq."""
    tenant_after: Select[Any]
    scope_after: Select[Any]
    written: Select[Any]
    deleted: Select[Any]
    scope_count: Select[Any]
    tenant_keys: Select[Any]
    expired: Select[Any]
    lru: Select[Any]
    lfu: Select[Any]
    fifo: Select[Any]
    random: Select[Any]
    state: Select[Any]
    meta: Select[Any]
    existing: Select[Any]
    remove: Delete
    insert: Insert
    touch: Update
    advance: Update
    """Takes the next `n` seq. Always the first statement of a transaction: the row it locks is
    what puts commits in the order of seq."""
    tally: Update
    bury: Insert
    trim: Delete
    trimmed: Update
    start: Insert
    drop_meta: Delete
    add_meta: Insert
    wipe: Delete
    wipe_tombstones: Delete
    wiped: Update

    @property
    def all(self) -> dict[str, Executable]:
        return {name: getattr(self, name) for name in self.__slots__}


def statements(tables: Tables) -> Statements:
    """Build them for these tables."""
    row, state, meta, buried = tables.entries, tables.state, tables.meta, tables.tombstones
    whole = [row.c[name] for name in column_names()]
    light = [row.c[name] for name in column_names() if name not in _HEAVY]
    first = row.c.seq > bindparam("after")
    limit: BindParameter[int] = bindparam("limit")
    keys: BindParameter[list[str]] = bindparam("keys", expanding=True)
    alive = or_(row.c.expires.is_(None), row.c.expires > bindparam("now"))
    mine = row.c.key == bindparam("k")

    def victims(*order: ColumnElement[Any]) -> Select[Any]:
        return select(row.c.key, row.c.size_bytes).where(alive).order_by(*order).limit(limit)

    def plus(name: str) -> dict[str, ColumnElement[Any]]:
        return {name: state.c[name] + bindparam(f"more_{name}")}

    return Statements(
        one=select(*whole).where(mine),
        many=select(*whole).where(row.c.key.in_(keys)),
        after=select(*whole).where(first).order_by(row.c.seq).limit(limit),
        tenant_after=select(*whole)
        .where(first, row.c.tenant == bindparam("tenant"))
        .order_by(row.c.seq)
        .limit(limit),
        scope_after=select(*light)
        .where(first, row.c.scope == bindparam("scope"), row.c.dimension > 0)
        .order_by(row.c.seq)
        .limit(limit),
        written=select(*light)
        .where(first, row.c.seq <= bindparam("upto"))
        .order_by(row.c.seq)
        .limit(limit),
        deleted=select(buried.c.seq, buried.c.key, buried.c.scope)
        .where(buried.c.seq > bindparam("after"), buried.c.seq <= bindparam("upto"))
        .order_by(buried.c.seq)
        .limit(limit),
        scope_count=select(func.count()).where(
            row.c.scope == bindparam("scope"), row.c.dimension > 0
        ),
        tenant_keys=select(row.c.key)
        .where(row.c.tenant == bindparam("tenant"))
        .order_by(row.c.seq)
        .limit(limit),
        expired=select(row.c.key, row.c.size_bytes)
        .where(row.c.expires <= bindparam("now"))
        .order_by(row.c.expires)
        .limit(limit),
        lru=victims(row.c.last_used),
        lfu=victims(row.c.uses, row.c.last_used),
        fifo=victims(row.c.seq),
        # Keys are digests, so a run of them from a random point is a random choice, and the only
        # one that no database has to sort the table for.
        random=victims(row.c.key).where(row.c.key >= bindparam("start")),
        state=select(state.c.seq, state.c.entries, state.c.size_bytes, state.c.trimmed),
        meta=select(meta.c.value).where(meta.c.name == bindparam("n")),
        existing=select(row.c.key, row.c.scope, row.c.size_bytes).where(row.c.key.in_(keys)),
        remove=delete(row).where(row.c.key.in_(keys)),
        insert=insert(row).values({name: bindparam(name) for name in column_names()}),
        touch=update(row)
        .where(mine)
        .values(
            uses=row.c.uses + bindparam("more"),
            last_used=case(
                (row.c.last_used < bindparam("used"), bindparam("used")), else_=row.c.last_used
            ),
        ),
        advance=update(state).values(seq=state.c.seq + bindparam("n")),
        tally=update(state).values(plus("entries") | plus("size_bytes")),
        bury=insert(buried),
        trim=delete(buried).where(buried.c.seq <= bindparam("upto")),
        trimmed=update(state).values(trimmed=bindparam("upto")),
        start=insert(state),
        drop_meta=delete(meta).where(meta.c.name == bindparam("n")),
        add_meta=insert(meta),
        wipe=delete(row),
        wipe_tombstones=delete(buried),
        wiped=update(state).values(entries=0, size_bytes=0, trimmed=state.c.seq),
    )
