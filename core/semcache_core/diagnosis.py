"""What is wrong with a cache on disk, and what of it can be mended: what `semcache doctor` runs."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from semcache_core.codecs import codec_named
from semcache_core.envelope import unseal
from semcache_core.errors import ConfigError, PayloadError, SemcacheError, StoreError
from semcache_core.models import Entry
from semcache_core.protocols import EntryStore
from semcache_core.store.opening import open_record

Level = Literal["ok", "note", "warning", "error", "mended"]
_FILE = "entries.sqlite3"
_LEAST_FREE = 0.05
"""Share of a disk that should be free: SQLite needs room to write beside what it has."""
_NAMED = 5
"""Ids that are named of those that are damaged."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    level: Level
    said: str


@dataclass
class _Visit:
    """One look at one cache."""

    place: str
    url: bool
    embedder: Any
    repair: bool
    tell: Callable[[int], None]
    found: list[Finding] = field(default_factory=list)

    def say(self, check: str, level: Level, said: str) -> None:
        self.found.append(Finding(check, level, said))

    @property
    def folder(self) -> Path:
        return Path(self.place)


def diagnosed(
    place: str,
    *,
    url: bool = False,
    embedder: Any = None,
    repair: bool = False,
    tell: Callable[[int], None] = lambda done: None,
) -> list[Finding]:
    """Look at a cache's folder or database. Nothing is changed unless `repair`.

    Raises `ConfigError` where there is no cache.
    """
    visit = _Visit(place, url, embedder, repair, tell)
    if not url:
        if not visit.folder.is_dir() or not any(visit.folder.glob(f"{_FILE}*")):
            raise ConfigError(f"there is no cache at {place!r}: no file {_FILE} is in it")
        _disk(visit)
        _left_behind(visit)
    record = _record(visit)
    if record is None:
        return visit.found
    try:
        _entries(visit, record)
        _claim(visit, record)
    except StoreError as error:
        visit.say("entries", "error", str(error))
    finally:
        record.close()
    if not url:
        _index(visit)
    return visit.found


def _disk(visit: _Visit) -> None:
    usage = shutil.disk_usage(visit.folder)
    size = sum(_size(one) for one in visit.folder.rglob("*"))
    said = f"{usage.free / 1e9:.1f} GB free ({usage.free / usage.total:.0%}), the cache has "
    said += f"{size / 1e6:.1f} MB"
    tight = usage.free < max(size, 100_000_000) or usage.free < _LEAST_FREE * usage.total
    visit.say("disk", "warning" if tight else "ok", said)


def _size(path: Path) -> int:
    """A file's bytes; others may remove it meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _left_behind(visit: _Visit) -> None:
    """Locks are the operating system's and end with their process; files of them may stay."""
    aside = sorted(one.name for one in visit.folder.glob(f"{_FILE}.damaged-*"))
    if aside:
        visit.say("files", "note", f"set aside when damaged, and not needed: {', '.join(aside)}")
    marks = list(visit.folder.glob("index/*/in-use"))
    lock = visit.folder / "index" / "owner.lock"
    if _held(lock):
        visit.say("locks", "ok", "another process has the index open")
    elif marks:
        said = "the index was not closed: it is tested when it is opened next"
        visit.say("locks", "note", said)
    else:
        visit.say("locks", "ok", "none is held")


def _held(lock: Path) -> bool:
    if not lock.is_file():
        return False
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _record(visit: _Visit) -> EntryStore | None:
    """The record, if it can be opened and read, also after mending."""
    try:
        record = open_record(visit.place)
        _checked(record)
    except StoreError as error:
        return _mended(visit, error)
    visit.say("database", "ok", "it can be opened, and every page of it is whole")
    return record


def _checked(record: EntryStore) -> None:
    """Look through the whole of a file, whatever its size."""
    check = getattr(record, "check", None)
    try:
        if check is not None:
            check()
    except BaseException:
        record.close()
        raise


def _mended(visit: _Visit, error: StoreError) -> EntryStore | None:
    if visit.url or not visit.repair or "locked" in str(error):
        visit.say("database", "error", str(error))
        return None
    from semcache_core.entries.sqlite import open_sqlite

    try:
        record: EntryStore = open_sqlite(visit.folder / _FILE, on_corrupt="move")
    except StoreError as again:
        visit.say("database", "error", str(again))
        return None
    said = f"{error}; set aside, and {record.count()} entries were saved"
    visit.say("database", "mended", said)
    return record


def _entries(visit: _Visit, record: EntryStore) -> None:
    now = time.time()
    said = record.meta("dimension") or ""
    length = int(said) if said.isdecimal() else None
    sums: Counter[str] = Counter()
    bad: dict[str, str] = {}
    for number, entry in enumerate(record.entries(), 1):
        sums["entries"] += 1
        sums["expired"] += entry.expired(now)
        if wrong := next(_wrong(entry, length), ""):
            bad[entry.key] = wrong
        if number % 500 == 0:
            visit.tell(number)
    _say_lost(visit, record.count() - sums["entries"])
    _say_bad(visit, record, bad)
    expired = f", {sums['expired']} of them expired" if sums["expired"] else ""
    visit.say("entries", "ok", f"{sums['entries']} looked at{expired}")


def _say_lost(visit: _Visit, lost: int) -> None:
    if lost > 0:
        visit.say("entries", "error", f"{lost} rows cannot be read, and count as missing")


def _say_bad(visit: _Visit, record: EntryStore, bad: dict[str, str]) -> None:
    if not bad:
        return
    named = "; ".join(f"{key[:12]}: {why}" for key, why in list(bad.items())[:_NAMED])
    said = f"{len(bad)} cannot be served ({named})"
    if visit.repair and not record.read_only:
        record.delete(list(bad))
        visit.say("entries", "mended", f"{said}; deleted")
    else:
        visit.say("entries", "error", said)


def _wrong(entry: Entry, length: int | None) -> Iterator[str]:
    """What is wrong with one entry, worst first."""
    try:
        opened = unseal(entry.payload)
    except PayloadError as error:
        yield str(error)
        return
    try:
        codec_named(opened.codec).text(opened.data)
    except PayloadError as error:
        if "no installed package" not in str(error):  # another environment may have it
            yield str(error)
    except Exception as error:  # noqa: BLE001  # a codec of another package, on damaged bytes
        yield f"{type(error).__name__}: {error}"
    vector = entry.vector
    if vector is not None:
        if length is not None and vector.size != length:
            yield f"its vector has {vector.size} numbers, and the others {length}"
        elif not abs(float(np.dot(vector, vector)) - 1.0) < 1e-2:
            yield "its vector is not of unit length"


def _claim(visit: _Visit, record: EntryStore) -> None:
    """Whether the embedder at hand is the one whose vectors these are."""
    from semcache_core.embedders import make_embedder

    held = record.meta("embedder")
    if not held:
        visit.say("embedder", "ok", "no vectors are stored yet")
        return
    try:
        ours = make_embedder(visit.embedder).identity
    except SemcacheError as error:
        visit.say("embedder", "note", f"the vectors are of {held!r}; not compared: {error}")
        return
    if ours == held:
        visit.say("embedder", "ok", held)
    elif visit.embedder is None:
        said = f"the vectors are of {held!r}, not of the default one: name it when opening"
        visit.say("embedder", "note", said)
    else:
        visit.say("embedder", "error", f"the vectors are of {held!r}, and this one is {ours!r}")


def _index(visit: _Visit) -> None:
    """An index is made from the entries, so what is wrong with it costs time and no answers."""
    folder = visit.folder / "index"
    generations = [one for one in folder.glob("*") if one.is_dir()] if folder.is_dir() else []
    if not generations:
        visit.say("index", "ok", "none on disk: scopes of this size are scanned")
        return
    if _held(folder / "owner.lock"):
        visit.say("index", "ok", "in use by another process, which keeps it")
        return
    said = _whole(visit)
    if not said:
        visit.say("index", "ok", "it opens, and is complete")
    elif visit.repair:
        shutil.rmtree(folder, ignore_errors=True)
        visit.say("index", "mended", f"{said}; removed, to be made anew at the next opening")
    else:
        visit.say("index", "warning", f"{said}; it is made anew when the cache is opened")


def _whole(visit: _Visit) -> str:
    """What is wrong with the newest index; empty if nothing is. Nobody else has it open."""
    from filelock import FileLock

    from semcache_core.indexes.homes import collection_name
    from semcache_core.indexes.manifest import close_cleanly, in_use, is_as_closed, is_as_rested
    from semcache_core.indexes.probe import probed

    folder = visit.folder / "index"
    newest = max(one for one in folder.glob("*") if one.is_dir())
    record = open_record(visit.place)
    try:
        with FileLock(folder / "owner.lock", timeout=0):
            embedder = record.meta("embedder") or ""
            unclosed = in_use(newest).exists()
            if not unclosed and not is_as_closed(newest):
                return "its files were changed while nobody used it"
            if unclosed and not is_as_rested(newest):
                return "it was not closed, and its files may be half written"
            if not probed(newest, collection_name(embedder)):
                return "it is damaged, or of another embedder"
            said = _inspected(newest, record, embedder)
            if not unclosed:
                close_cleanly(newest)
            return said
    finally:
        record.close()


def _inspected(folder: Path, record: EntryStore, embedder: str) -> str:
    from semcache_core.indexes.chroma import ChromaFailed, ChromaIndex
    from semcache_core.indexes.clients import persistent_client
    from semcache_core.indexes.homes import collection_name
    from semcache_core.indexes.inspection import inspect

    client = persistent_client(folder)
    try:
        index = ChromaIndex(client, collection_name(embedder), embedder)
        state = index.state
        if state.seq == 0:
            return "its building was interrupted"
        if state.record not in ("", record.meta("id") or ""):
            return "it was made from another record"
        inspect(index, record, state.scopes, state.seq)
    except ChromaFailed as error:
        return str(error)
    finally:
        client.close()
    return ""
