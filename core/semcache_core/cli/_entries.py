"""`semcache ls` and `semcache show`."""

from __future__ import annotations

import heapq
import time
from enum import Enum
from typing import Annotated, Any

import typer

from semcache_core.cli._options import AsJson, Namespace, Where
from semcache_core.cli._output import ago, console, facts, print_json, size, span, table
from semcache_core.cli._record import SHORT, named, opened
from semcache_core.codecs import text_of
from semcache_core.errors import PayloadError
from semcache_core.models import Entry


class Order(str, Enum):
    """What `ls` lists first."""

    RECENT = "recent"
    USES = "uses"
    OLDEST = "oldest"


_FIRST: dict[Order, Any] = {
    Order.RECENT: lambda entry: entry.created,
    Order.USES: lambda entry: (entry.uses, entry.last_used),
    Order.OLDEST: lambda entry: -entry.created,
}


def ls(
    where: Where,
    namespace: Namespace = None,
    sort: Annotated[Order, typer.Option(help="What comes first.")] = Order.RECENT,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many.")] = 20,
    json: AsJson = False,
) -> None:
    """List stored questions."""
    with opened(where) as record:
        entries = heapq.nlargest(limit, record.entries(namespace), key=_FIRST[sort])
        total = record.count()
    if json:
        print_json([told(entry) for entry in entries])
        return
    columns = ("id", "question", "namespace", "model", "stored", "uses", "tokens")
    console.print(table(columns, [_row(entry) for entry in entries]))
    console.print(f"{len(entries)} of {total} entries")


def show(
    where: Where,
    entry: Annotated[str, typer.Argument(metavar="ID", help="An id, or how one begins.")],
    json: AsJson = False,
) -> None:
    """Show one entry with its answer."""
    with opened(where) as record:
        found = named(record, entry)
    if json:
        print_json(told(found) | {"answer": _answer(found)})
        return
    console.print(facts([(name, str(value)) for name, value in _described(found).items()]))
    console.print(_answer(found) or "(this answer cannot be read)", markup=False)


def told(entry: Entry) -> dict[str, Any]:
    """An entry as JSON has it, without its answer and its vector."""
    return {
        "id": entry.key,
        "scope": entry.scope,
        "namespace": entry.namespace,
        "model": entry.model,
        "question": entry.query,
        "created": entry.created,
        "expires": entry.expires,
        "last_used": entry.last_used or None,
        "uses": entry.uses,
        "tokens": entry.tokens,
        "bytes": entry.size,
    }


def _row(entry: Entry) -> tuple[str, ...]:
    question = entry.query or "(exact match only)"
    return (
        entry.key[:SHORT],
        question if len(question) <= 200 else question[:199] + "…",
        entry.namespace,
        entry.model,
        ago(entry.created),
        str(entry.uses),
        str(entry.tokens),
    )


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.key,
        "question": entry.query or "(exact match only)",
        "namespace": repr(entry.namespace),
        "model": entry.model,
        "stored": ago(entry.created),
        "expires": "never" if entry.expires is None else _left(entry.expires),
        "uses": entry.uses,
        "tokens": entry.tokens,
        "size": size(entry.size),
    }


def _left(expires: float) -> str:
    left = expires - time.time()
    return f"in {span(left)}" if left > 0 else f"{span(-left)} ago"


def _answer(entry: Entry) -> str | None:
    try:
        return text_of(entry.payload)
    except PayloadError:
        return None
