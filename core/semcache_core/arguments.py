"""The arguments of a cache's class before anything is made of them."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.store import Store, open_store
from semcache_core.units import in_bytes, in_seconds

_OPENING = {"path", "embedder", "failed"}
_STORE = {"self", "entries", "index", "identity", "dimension", "probe", "clock", "failed"}
"""What callers of the cache's class do not give."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a value must be, and how a message asks for it."""

    holds: Callable[[Any], bool]
    wanted: str


def _number(least: float) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return plain and least <= value < math.inf

    return holds


def _whole(least: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and _number(least)(value)


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: all(callable(getattr(value, name, None)) for name in names)


def _object(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Of a class everything is callable that its objects can do."""
    return lambda value: not isinstance(value, type) and holds(value)


_OPTIONAL = {
    "evaluator",
    "judge",
    "max_entries",
    "max_bytes",
    "max_entry_bytes",
    "ttl",
    "url",
    "table",
    "softmax_temperature",
}
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "evaluator": _Rule(
            _object(_has("score", "ascore")), "an Evaluator's object, as in Cosine()"
        ),
        "namespace": _Rule(
            lambda value: isinstance(value, str) or callable(value), "a str or a callable"
        ),
        "coalesce": _Rule(
            lambda value: value in (True, False, "semantic"), "True, False or 'semantic'"
        ),
        "judge": _Rule(_has("same", "asame"), "a Judge (semcache_core.judges)"),
        "softmax_temperature": _Rule(_number(0), "a number of at least 0, or None"),
        "shadow": _Rule(lambda value: isinstance(value, bool), "True or False"),
        "seed": _Rule(_whole(-math.inf), "a whole number"),
        "answers": _Rule(_whole(1), "a whole number of at least 1"),
        "top_k": _Rule(_whole(1), "a whole number of at least 1"),
        "batch": _Rule(_whole(1), "a whole number of at least 1"),
        "clock": _Rule(callable, "a function that returns seconds since the epoch"),
        "max_entries": _Rule(_whole(1), "a whole number of at least 1, or None"),
        "max_bytes": _Rule(_number(1), "a number of at least 1, a text like '1GB', or None"),
        "max_entry_bytes": _Rule(_number(1), "a number of at least 1, a text like '1MB', or None"),
        "ttl": _Rule(
            lambda value: (_number(0)(value) and value > 0) or value == math.inf,
            "a positive number of seconds, a text like '7d', or None",
        ),
        "hot": _Rule(_whole(0), "a whole number of at least 0"),
        "poll": _Rule(_number(0), "a number of at least 0"),
        "scan_limit": _Rule(_whole(0), "a whole number of at least 0"),
        "url": _Rule(lambda value: isinstance(value, str), "a text, http(s)://host:port"),
        "on_corrupt": _Rule(lambda value: value in ("raise", "move"), "'raise' or 'move'"),
        "table": _Rule(
            lambda value: hasattr(value, "__table__") or hasattr(value, "columns"),
            "a declarative class or a Table",
        ),
    }
)


def settled(kind: type, path: object, storage: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """The store's arguments, with amounts that were given as texts ("1GB", "7d") as numbers.

    Raises `ConfigError` for a name that `kind` does not take, with the nearest one that it does,
    and for a path or a value, also among `others`, that cannot work.
    """
    _check_path(path)
    known = _storage_names()
    unknown = [name for name in storage if name not in known]
    if unknown:
        raise ConfigError(_unknown(kind, unknown[0], known))
    made = dict(storage)
    amounts = {"max_bytes": in_bytes, "max_entry_bytes": in_bytes, "ttl": in_seconds}
    for name, read in amounts.items():
        if name in made:
            made[name] = read(name, made[name])
    check(**made, **others)
    return made


def check(**given: Any) -> None:
    """Raises `ConfigError` for a value that the argument of this name cannot have."""
    for name, value in given.items():
        rule = _RULES.get(name)
        if rule is None or (value is None and name in _OPTIONAL):
            continue
        if not rule.holds(value):
            raise ConfigError(f"{name}: {value!r} was given; give {rule.wanted}")


def taken_by(kind: type) -> set[str]:
    """The names that a class's constructor takes, itself or by handing them on."""
    inits = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)]
    return {name for init in inits for name in _named(init)} - {"self", "clock"}


def _storage_names() -> set[str]:
    return (_named(open_store) - _OPENING) | (_named(Store.__init__) - _STORE)


def _named(function: Any) -> set[str]:
    """What a caller can give by name; the parts that classes hand their bases are not."""
    parameters = inspect.signature(function).parameters.values()
    return {
        one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }


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
