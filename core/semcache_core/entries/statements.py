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

_LIMIT: BindParameter[int] = bindparam("limit")
_KEYS: BindParameter[list[str]] = bindparam("keys", expanding=True)
_HEAVY = "payload"


@dataclass(frozen=True, slots=True)
class Reads:
    """What is asked of the tables."""

    one: Select[Any]
    many: Select[Any]
    after: Select[Any]
    """Whole rows above a seq."""
    tenant_after: Select[Any]
    scope_after: Select[Any]
    """Rows without payloads, as are those of `written`."""
    scope_count: Select[Any]
    tenant_keys: Select[Any]
    existing: Select[Any]
    written: Select[Any]
    deleted: Select[Any]
    state: Select[Any]
    meta: Select[Any]
    metas: Select[Any]


@dataclass(frozen=True, slots=True)
class Victims:
    """Who goes first, by each rule: keys and sizes."""

    expired: Select[Any]
    lru: Select[Any]
    lfu: Select[Any]
    fifo: Select[Any]
    random: Select[Any]
    sample: Select[Any]
    """What `models.Usage` holds."""


@dataclass(frozen=True, slots=True)
class Writes:
    """What is done to the tables."""

    advance: Update
    """Takes the next `n` seq. Always the first statement of a transaction: the row it locks is
    what puts commits in the order of seq."""
    remove: Delete
    insert: Insert
    tally: Update
    touch: Update
    bury: Insert
    trim: Delete
    trimmed: Update
    start: Insert
    drop_meta: Delete
    add_meta: Insert
    wipe: Delete
    wipe_tombstones: Delete
    wiped: Update


def reads(tables: Tables) -> Reads:
    """Build them for these tables."""
    row, state, meta, buried = tables.entries, tables.state, tables.meta, tables.tombstones
    whole = select(*(row.c[name] for name in column_names()))
    light = select(*(row.c[name] for name in column_names() if name != _HEAVY))
    in_scope = (row.c.scope == bindparam("scope"), row.c.dimension > 0)
    of_tenant = row.c.tenant == bindparam("tenant")
    in_span = [table.c.seq > bindparam("after") for table in (row, buried)]
    upto = [table.c.seq <= bindparam("upto") for table in (row, buried)]

    def paged(statement: Select[Any]) -> Select[Any]:
        return statement.where(in_span[0]).order_by(row.c.seq).limit(_LIMIT)

    return Reads(
        one=whole.where(row.c.key == bindparam("k")),
        many=whole.where(row.c.key.in_(_KEYS)),
        after=paged(whole),
        tenant_after=paged(whole.where(of_tenant)),
        scope_after=paged(light.where(*in_scope)),
        scope_count=select(func.count()).where(*in_scope),
        tenant_keys=select(row.c.key).where(of_tenant).order_by(row.c.seq).limit(_LIMIT),
        existing=select(row.c.key, row.c.scope, row.c.size_bytes).where(row.c.key.in_(_KEYS)),
        written=paged(light.where(upto[0])),
        deleted=select(buried.c.seq, buried.c.key, buried.c.scope)
        .where(in_span[1], upto[1])
        .order_by(buried.c.seq)
        .limit(_LIMIT),
        state=select(state.c.seq, state.c.entries, state.c.size_bytes, state.c.trimmed),
        metas=select(meta.c.name, meta.c.value),
        meta=select(meta.c.value).where(meta.c.name == bindparam("n")),
    )


def victims(tables: Tables) -> Victims:
    """Build them for these tables."""
    row = tables.entries
    now: BindParameter[float] = bindparam("now")
    pairs = select(row.c.key, row.c.size_bytes)
    alive = or_(row.c.expires.is_(None), row.c.expires > now)

    def first(*order: ColumnElement[Any]) -> Select[Any]:
        return pairs.where(alive).order_by(*order).limit(_LIMIT)

    return Victims(
        expired=pairs.where(row.c.expires <= now).order_by(row.c.expires).limit(_LIMIT),
        lru=first(row.c.last_used),
        lfu=first(row.c.uses, row.c.last_used),
        fifo=first(row.c.seq),
        # Keys are digests, so a run of them from a random point is a random choice, and the only
        # one that no database has to sort the table for.
        random=first(row.c.key).where(row.c.key >= bindparam("start")),
        sample=select(row.c.key, row.c.size_bytes, row.c.uses, row.c.tokens, row.c.last_used)
        .where(row.c.key >= bindparam("start"))
        .order_by(row.c.key)
        .limit(_LIMIT),
    )


def writes(tables: Tables) -> Writes:
    """Build them for these tables."""
    row, state, meta, buried = tables.entries, tables.state, tables.meta, tables.tombstones
    used: BindParameter[float] = bindparam("used")
    tally = {name: state.c[name] + bindparam(f"more_{name}") for name in ("entries", "size_bytes")}
    touched = {
        "uses": row.c.uses + bindparam("more"),
        "last_used": case((row.c.last_used < used, used), else_=row.c.last_used),
    }
    return Writes(
        advance=update(state).values(seq=state.c.seq + bindparam("n")),
        remove=delete(row).where(row.c.key.in_(_KEYS)),
        insert=insert(row).values({name: bindparam(name) for name in column_names()}),
        tally=update(state).values(tally),
        touch=update(row).where(row.c.key == bindparam("k")).values(touched),
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
