"""Entries as rows and back. Pure."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from semcache_core.models import Entry

_log = logging.getLogger(__name__)


def tenant(namespace: str) -> str:
    """What stands for a namespace in comparisons: a digest, the same in every database."""
    return hashlib.sha256(namespace.encode()).hexdigest()


def to_row(entry: Entry) -> dict[str, Any]:
    """The columns of `EntryColumns`. Empty texts become null, as Oracle knows no empty text."""
    vector = None if entry.vector is None else np.ascontiguousarray(entry.vector, dtype="<f4")
    return {
        "seq": entry.seq,
        "key": entry.key,
        "scope": entry.scope,
        "tenant": tenant(entry.namespace),
        "dimension": 0 if vector is None else vector.shape[0],
        "created": entry.created,
        "expires": entry.expires,
        "last_used": entry.last_used,
        "uses": entry.uses,
        "tokens": entry.tokens,
        "size_bytes": entry.size,
        "model": entry.model or None,
        "namespace": entry.namespace or None,
        "turns": orjson.dumps(entry.turns).decode() if entry.turns else None,
        "query": entry.query,
        "vector": None if vector is None else vector.tobytes(),
        "payload": entry.payload,
    }


def to_entry(row: Sequence[Any]) -> Entry | None:
    """The entry of a row in the order of the columns; None, and logged, if it is unreadable.

    A row without the last column, the payload, gives an entry with an empty one.
    """
    try:
        return _entry(*row)
    except (ValueError, TypeError) as error:
        _log.warning("entry %r cannot be read and counts as missing: %s", row[1], error)
        return None


def _entry(  # noqa: PLR0917  # the columns of a row, in order
    seq: int,
    key: str,
    scope: str,
    _tenant: str,
    dimension: int,
    created: float,
    expires: float | None,
    last_used: float,
    uses: int,
    tokens: int,
    _size: int,
    model: str | None,
    namespace: str | None,
    turns: str | None,
    query: str | None,
    vector: bytes | None,
    payload: bytes = b"",
) -> Entry:
    if dimension != (0 if vector is None else len(vector) // 4):
        raise ValueError(f"its vector should have {dimension} numbers")
    # SQLite keeps what it is given, whatever the column's type; somebody else may have written it.
    if not ((query is None or isinstance(query, str)) and isinstance(payload, bytes)):
        raise TypeError("its question should be a text and its payload bytes")
    if not all(isinstance(number, int | float) for number in (created, last_used, uses, tokens)):
        raise TypeError("its times and counts should be numbers")
    return Entry(
        key=key,
        scope=scope,
        namespace=namespace or "",
        payload=payload,
        created=created,
        query=query,
        vector=None if vector is None else np.frombuffer(vector, dtype="<f4"),
        turns=tuple(orjson.loads(turns)) if turns else (),
        model=model or "",
        expires=expires,
        last_used=last_used,
        uses=uses,
        tokens=tokens,
        seq=seq,
    )
