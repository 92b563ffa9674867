"""Entries as arguments of the scripts in Redis, and back. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from semcache_core.entries.rows import tenant
from semcache_core.models import Entry

_log = logging.getLogger(__name__)

_LATEST = 1e12
"""Seconds since the epoch that Redis can express."""
_HEAD = ("scope", "namespace", "created", "query", "turns", "model", "expires", "tokens")


def arguments(entry: Entry, now: float) -> Iterator[Any]:
    """What `redis_scripts.FIELDS` lists. What has expired at `now` is left to be purged."""
    ends = entry.expires
    vector = b"" if entry.vector is None else np.ascontiguousarray(entry.vector, "<f4").tobytes()
    yield entry.key
    yield entry.scope
    yield tenant(entry.namespace)
    yield entry.size
    yield int(entry.vector is not None)
    yield "" if ends is None else repr(ends)
    yield "" if ends is None or not now < ends < _LATEST else int(ends * 1000)
    yield orjson.dumps({name: getattr(entry, name) for name in _HEAD})
    yield vector
    yield entry.payload
    yield entry.uses
    yield repr(entry.last_used)


def to_entry(key: str, row: Sequence[bytes | None]) -> Entry | None:
    """The entry of fields s, h, v, u, l and perhaps p; None if there is none, or it is damaged."""
    if row[0] is None:
        return None
    try:
        return _entry(key, *row)
    except (ValueError, TypeError, KeyError) as error:
        _log.warning("entry %r cannot be read and counts as missing: %s", key, error)
        return None


def _entry(key: str, *fields: Any) -> Entry:
    seq, head, vector, uses, last, payload = (*fields, b"")[:6]
    told = orjson.loads(head)
    return Entry(
        key=key,
        payload=payload,
        vector=np.frombuffer(vector, dtype="<f4") if vector else None,
        last_used=float(last),
        uses=int(uses),
        seq=int(seq),
        **(told | {"turns": tuple(told["turns"])}),
    )
