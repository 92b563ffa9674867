"""Copying one record into another: a local cache to a server, and back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.models import Entry
from semcache_core.protocols import Clock, EntryStore
from semcache_core.store.opening import AnyPath, open_record

_OWN = ("id", "schema")
_INDEX = "index."
"""Values that belong to one record and not to its entries are called so, or begin so."""
_CLAIM = ("embedder", "dimension", "probe")
_BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a copy is, or how it ended; numbers of entries."""

    total: int
    """In the source when it began."""
    copied: int = 0
    present: int = 0
    """Were in the target already, as new or newer: of an earlier copy, or the target's own."""
    expired: int = 0

    @property
    def done(self) -> int:
        """How many of the source's were looked at."""
        return self.copied + self.present + self.expired


Progress = Callable[[Copied], None]


def copy(
    source: EntryStore | AnyPath,
    target: EntryStore | AnyPath,
    *,
    progress: Progress | None = None,
    batch: int = 500,
    clock: Clock = time.time,
) -> Copied:
    """Copy all entries of `source`, with what belongs to them, into `target`.

    Both are a cache's folder, a database URL (`postgresql+psycopg://...`, `redis://...`) or an
    `EntryStore`, which stays open. Either may be in use meanwhile: the indexes there follow by
    themselves. Entries keep their vectors, times and use counts; what learning policies know and
    the reported pairs go along. Nothing is deleted in the target, and of two answers to one prompt
    the newer stays.

    A copy that was interrupted is resumed by doing it again: `batch` entries are committed at a
    time, and what is there is not written twice. `progress` is called after each batch.

    Raises `ConfigError` for a source that does not exist, `IncompatibleError` for a target with
    another embedder's vectors, `StoreError`.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ConfigError(f"batch: {batch!r} was given; it is a number of at least 1")
    _check_exists(source)
    with _opened(source) as giver, _opened(target) as taker:
        if giver is taker:
            raise ConfigError("source and target of a copy are the same record")
        _copy_values(giver, taker)
        state = Copied(giver.count())
        for page in _pages(giver.entries(), batch):
            state = _copy_page(state, page, taker, clock())
            if progress is not None:
                progress(state)
        return state


class _opened:  # noqa: N801  # reads as the function that it is
    """A record for the length of a with; one that was open before stays open."""

    def __init__(self, where: Any) -> None:
        self._own = not isinstance(where, EntryStore)
        self._record: EntryStore = open_record(where) if self._own else where

    def __enter__(self) -> EntryStore:
        return self._record

    def __exit__(self, *error: object) -> None:
        if self._own:
            self._record.close()


def _check_exists(source: EntryStore | AnyPath) -> None:
    """A record is made where there is none; a source with a slip of the pen must not be."""
    if isinstance(source, EntryStore) or "://" in str(source):
        return
    if not (Path(source).expanduser() / "entries.sqlite3").is_file():
        raise ConfigError(f"source: there is no cache in {str(source)!r}")


def _copy_values(source: EntryStore, target: EntryStore) -> None:
    given, held = source.metas(), target.metas()
    theirs, ours = given.get("embedder"), held.get("embedder")
    if theirs and ours and any(given.get(name) != held.get(name) for name in _CLAIM[:2]):
        raise IncompatibleError(
            f"the target holds vectors of the embedder {ours!r}, the source those of {theirs!r}:"
            " copy into another target"
        )
    if given.get(_BLOCKED):
        target.set_meta(_BLOCKED, _merged(given.pop(_BLOCKED), held.get(_BLOCKED)))
    for name, value in given.items():
        if value and not (name in _OWN or name.startswith(_INDEX) or held.get(name)):
            target.set_meta(name, value)


def _merged(given: str, held: str | None) -> str:
    pairs = json.loads(held or "[]")
    return json.dumps(pairs + [pair for pair in json.loads(given or "[]") if pair not in pairs])


def _pages(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    while page := list(islice(entries, size)):
        yield page


def lacking(record: EntryStore, page: Sequence[Entry]) -> list[Entry]:
    """Those of a page that the record has not, or has older ones of."""
    there = record.get([entry.key for entry in page])
    return [
        entry
        for entry in page
        if (held := there.get(entry.key)) is None or held.created < entry.created
    ]


def _copy_page(state: Copied, page: Sequence[Entry], target: EntryStore, now: float) -> Copied:
    alive = [entry for entry in page if not entry.expired(now)]
    wanted = lacking(target, alive)
    if wanted:
        target.put(wanted)
    return replace(
        state,
        copied=state.copied + len(wanted),
        present=state.present + len(alive) - len(wanted),
        expired=state.expired + len(page) - len(alive),
    )
