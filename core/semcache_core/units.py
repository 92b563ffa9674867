"""Amounts as people write them: "1.5 GB", "12 h". Pure."""

from __future__ import annotations

import math
import re

from semcache_core.errors import ConfigError

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)\s*", re.ASCII)
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def in_bytes(name: str, value: object) -> object:
    """A text such as "1GB" (10^9) or "1GiB" (2^30) in bytes; anything else as it is.

    Raises `ConfigError` for a text that says no such amount; `name` is the argument's.
    """
    units = "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"
    return int(_amount(name, value, _BYTES, units)) if isinstance(value, str) else value


def in_seconds(name: str, value: object) -> object:
    """As `in_bytes`, for a time span: "90 s", "15 min", "12h", "7d", "2w"."""
    return _amount(name, value, _SECONDS, "s, min, h, d, w") if isinstance(value, str) else value


def _amount(name: str, text: str, units: dict[str, int], known: str) -> float:
    found = _AMOUNT.fullmatch(text)
    factor = units.get(found[2].lower()) if found else None
    if found is None or factor is None or not math.isfinite(float(found[1])):
        raise ConfigError(f"{name}: {text!r} was given; give a number, with one of {known} or none")
    return float(found[1]) * factor
