"""What is asked of a cache's record beside its answers; what fails is logged, counted, told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import uuid4

from semcache_core.errors import StoreClosed, StoreError
from semcache_core.flow import Parts
from semcache_core.store import Store

log = logging.getLogger("semcache")


def record_id(store: Store) -> str:
    """Names the record, whoever has opened it; made when it is first asked for."""
    if not store.meta("id"):
        store.set_meta("id", uuid4().hex)
    return store.meta("id") or ""


def sizes(parts: Parts) -> dict[str, int]:
    """Entries and their bytes; empty if they cannot be counted. Raises `StoreClosed`."""
    try:
        return {"entries": parts.store.count(), "size": parts.store.size()}
    except StoreClosed:
        raise
    except StoreError as error:
        log.warning("semcache: the entries cannot be counted: %s", error)
        parts.recorder.error(error)
        return {}


def tried(parts: Parts, doing: str, work: Callable[[], object]) -> bool:
    """Whether it went well. Raises `StoreClosed`."""
    try:
        work()
    except StoreClosed:
        raise
    except StoreError as error:
        log.warning("semcache: %s: %s", doing, error)
        parts.recorder.error(error)
        return False
    return True
