"""The arguments of a cache's class before anything is made of them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.store import Store, open_store
from semcache_core.units import in_bytes, in_seconds

_OPENING = {"path", "embedder", "failed"}
_STORE = {"self", "entries", "index", "identity", "dimension", "clock", "failed"}
"""What callers of the cache's class do not give."""


def settled(kind: type, path: object, storage: Mapping[str, Any]) -> dict[str, Any]:
    """The store's arguments, with amounts that were given as texts ("1GB", "7d") as numbers.

    Raises `ConfigError` for a name that `kind` does not take, with the nearest one that it does,
    and for a path that cannot be one.
    """
    _check_path(path)
    known = _storage_names()
    unknown = [name for name in storage if name not in known]
    if unknown:
        raise ConfigError(_unknown(kind, unknown[0], known))
    made = dict(storage)
    for name, read in {"max_bytes": in_bytes, "ttl": in_seconds}.items():
        if name in made:
            made[name] = read(name, made[name])
    return made


def taken_by(kind: type) -> set[str]:
    """The names that a class's constructor takes, itself or by handing them on."""
    inits = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)]
    return {name for init in inits for name in _named(init)} - {"self", "clock"}


def _storage_names() -> set[str]:
    return (_named(open_store) - _OPENING) | (_named(Store.__init__) - _STORE)


def _named(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}


def _unknown(kind: type, name: str, storage: set[str]) -> str:
    names = sorted(taken_by(kind) | storage)
    close = get_close_matches(name, names, 1, 0.6)
    hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(names)}"
    return f"{name}: {kind.__name__} has no such argument; {hint}"


def _check_path(path: object) -> None:
    if path is None:
        return
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"path: {path!r} was given; give a folder's name, or None")
    name = os.fspath(path)
    if not isinstance(name, str):
        raise ConfigError(f"path: {path!r} was given; give a str, not bytes")
    if not name or "\0" in name:
        raise ConfigError(f"path: {name!r} was given, which no folder can be called")
