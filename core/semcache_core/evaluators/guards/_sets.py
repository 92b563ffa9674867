"""Small sets, of which a text has many and most are empty or another one's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_NOTHING: frozenset[Any] = frozenset()


def union(parts: Iterable[frozenset[T]]) -> frozenset[T]:
    """All of them together; where only one has members it is that one, which takes no memory."""
    some = [part for part in parts if part]
    if len(some) > 1:
        return some[0].union(*some[1:])
    return some[0] if some else _NOTHING
