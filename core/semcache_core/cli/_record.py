"""Caches that exist: their records alone, or the whole of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcache_core.errors import ConfigError
from semcache_core.models import Entry
from semcache_core.protocols import EntryStore

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache

FILE = "entries.sqlite3"
SHORT = 12  # digits of an id that are shown: 48 bits
_SETTINGS = (".yaml", ".yml", ".json")


def is_url(where: str) -> bool:
    """Whether a cache is named by its database and not by its folder."""
    return "://" in where


def is_settings(where: str) -> bool:
    """Whether a cache is named by a configuration."""
    return not is_url(where) and where.lower().endswith(_SETTINGS) and not _is_folder(where)


def _is_folder(where: str) -> bool:
    try:
        return Path(where).expanduser().is_dir()
    except (OSError, ValueError):
        return False


@contextmanager
def opened(where: str) -> Iterator[EntryStore]:
    """The record at a folder or a database URL, or of a configuration.

    Raises `ConfigError` where there is no cache: a mistyped path must not make an empty one.
    """
    from semcache_core.store.opening import open_record

    record = open_record(existing(where))
    try:
        yield record
    finally:
        record.close()


def existing(where: str) -> str:
    """The folder or the database URL of a cache that exists; raises `ConfigError`."""
    place = place_of(where)
    if is_url(place):
        _check_database(place)
    else:
        _check_folder(place)
    return place


def place_of(where: str) -> str:
    """The folder or the database URL that is meant, whether or not there is a cache yet."""
    if not where or "\0" in where:
        raise ConfigError(f"{where!r} is no folder and no database URL")
    if not is_settings(where):
        return where if is_url(where) else str(Path(where).expanduser())
    from semcache_core.config import load

    given = load(where).place()
    if given is None:
        raise ConfigError(f"{where}: it says neither path nor entries, so nothing is on disk")
    return given


def _check_folder(place: str) -> None:
    folder = Path(place)
    if folder.is_file():
        raise ConfigError(
            f"{place!r} is a file; give the cache's folder, its database's URL, or a configuration "
            "whose name ends in .yaml, .yml or .json"
        )
    if not (folder / FILE).is_file():
        raise ConfigError(f"there is no cache at {place!r}: no file {FILE} is in it")


def _check_database(url: str) -> None:
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite") and rest.startswith("/"):
        name = rest[1:].partition("?")[0]
        if not Path(name).is_file():
            raise ConfigError(f"there is no cache at {url!r}: the file {name!r} does not exist")


def cache_at(where: str, kind: type | None = None, *, new: bool = False, **over: Any) -> Any:
    """The cache at a place, of this class (the core's by default), with some arguments.

    `new`: it may be made. An argument that is None is left to the cache. Raises `ConfigError`.
    """
    from semcache_core.cache import SemanticCache

    made: type[SemanticCache] = kind or SemanticCache
    if not new:
        existing(where)
    elif not is_settings(where) and not is_url(where) and Path(where).expanduser().is_file():
        _check_folder(str(Path(where).expanduser()))
    given: dict[str, Any] = {name: value for name, value in over.items() if value is not None}
    if "embedder" in given:
        given[made.embedder_argument] = given.pop("embedder")
    if is_settings(where):
        return made.from_config(where, **given)
    place = place_of(where)
    given["entries" if is_url(where) else "path"] = place
    return made(**given)


def named(record: EntryStore, prefix: str) -> Entry:
    """The entry whose id begins so; raises `ConfigError` when that is none or several."""
    found = [entry for entry in record.entries() if entry.key.startswith(prefix.lower())]
    if len(found) != 1:
        many = f"{len(found)} entries have" if found else "no entry has"
        raise ConfigError(f"{many} an id that begins with {prefix!r}; `semcache ls` shows ids")
    return found[0]


def written(record: EntryStore, work: Callable[[Any], Any]) -> Any:
    """What `work` gives of a store over the record, whose index follows by itself."""
    from semcache_core.indexes.scan import ScanIndex, loading
    from semcache_core.store import Store

    store = Store(record, ScanIndex(loading(record)), identity=record.meta("embedder") or "")
    try:
        return work(store)
    finally:
        store.close()
