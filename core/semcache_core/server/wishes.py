"""What a caller's `X-Semcache-...` headers ask for, and nothing that they do not spell right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from semcache_core.server.failures import ApiError

PREFIX = "x-semcache-"
_NAMESPACE = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_SESSION = re.compile(r"[\x21-\x7e]{1,128}")
_MAX_TOP_K = 100
_FLAGS: Mapping[str, Mapping[str, bool]] = {
    "skip": {"read": False, "write": False},
    "refresh": {"read": False},
    "read-only": {"write": False},
    "only-if-cached": {"offline": True, "write": False},
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """One request's settings."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `semcache_core.control.Control`."""
    namespace: str = ""
    """A part of the tenant's own namespace."""
    ttl: float | None = None
    threshold: float | None = None


def wishes(headers: Mapping[str, str]) -> Wishes:
    """Read the headers; raises `ApiError` (400) for an unknown one, or a value that cannot be."""
    given = {
        name[len(PREFIX) :]: value.strip()
        for name, value in headers.items()
        if name.startswith(PREFIX)
    }
    for name in given:
        if name not in _FLAGS and name not in _VALUES:
            raise _unknown(name)
    flags = [name for name in _FLAGS if name in given and _flag(name, given[name])]
    if len(flags) > 1:
        raise _bad(flags[1], given[flags[1]], f"it contradicts {_header(flags[0])}")
    values = {name: _VALUES[name](name, given[name]) for name in given if name in _VALUES}
    changes: dict[str, Any] = {}
    for name in flags:
        changes |= _FLAGS[name]
    changes |= {key: values[name] for name, key in _CONTROL.items() if name in values}
    return Wishes(changes, values.get("namespace", ""), values.get("ttl"), values.get("threshold"))


def _flag(name: str, value: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in known:
        raise _bad(name, value, "give 'true' or 'false'")
    return known[value.lower()]


def _number(low: float, high: float, words: str) -> Callable[[str, str], float]:
    def read(name: str, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (low <= number <= high) or math.isinf(number):
            raise _bad(name, value, words)
        return number

    return read


def _whole(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= _MAX_TOP_K:
        raise _bad(name, value, f"give a whole number from 1 to {_MAX_TOP_K}")
    return int(value)


def _text(pattern: re.Pattern[str], words: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if not pattern.fullmatch(value):
            raise _bad(name, value, words)
        return value

    return read


_VALUES: Mapping[str, Callable[[str, str], Any]] = {
    "namespace": _text(_NAMESPACE, "give 1 to 128 letters, digits, or any of . _ : @ -"),
    "ttl": _number(0.001, 1e10, "give a number of seconds above 0"),
    "threshold": _number(0.0, 1.0, "give a number from 0 to 1"),
    "top-k": _whole,
    "session": _text(_SESSION, "give 1 to 128 printable ASCII characters without spaces"),
}
_CONTROL = {"top-k": "top_k", "session": "session"}


def _header(name: str) -> str:
    return "X-Semcache-" + "-".join(
        "TTL" if part == "ttl" else part.capitalize() for part in name.split("-")
    )


def _unknown(name: str) -> ApiError:
    known = [*_FLAGS, *_VALUES]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {_header(near[0])}?" if near else ""
    hint = hint or f"known are {', '.join(map(_header, known))}"
    return ApiError(
        400,
        f"X-Semcache-{name}: no such header; {hint}",
        code="unknown_header",
        param=PREFIX + name,
    )


def _bad(name: str, value: str, words: str) -> ApiError:
    return ApiError(
        400,
        f"{_header(name)}: {value[:80]!r} was given; {words}",
        code="invalid_header",
        param=PREFIX + name,
    )
