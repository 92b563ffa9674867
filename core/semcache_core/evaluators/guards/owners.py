"""Whose: "my limit" is not "your limit"."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_GENERIC = re.compile(r"\byou\b", re.IGNORECASE)
_DEFINES = re.compile(
    r"\W{0,9}what(?:'s|s|\s+is|\s+are)\s+(?:(?P<mine>my|our)|an?)\s", re.IGNORECASE
)
_MINE = frozenset({"my", "mine", "our", "ours"})
_YOURS = frozenset({"your", "yours"})
WORDS = _MINE | _YOURS


def differ(pair: Pair) -> str:
    """One text speaks of the asker's only, the other of the one asked."""
    if (_mine(pair.a) and _yours(pair.b)) or (_yours(pair.a) and _mine(pair.b)):
        return "whose: my / your"
    return _defined(pair)


def touched(text: Text) -> bool:
    """Whether it speaks of the asker's, or of the one asked."""
    return not text.said.isdisjoint(WORDS)


def _defined(pair: Pair) -> str:
    """What an overdraft is, against what mine is."""
    a, b = _DEFINES.match(pair.a.raw), _DEFINES.match(pair.b.raw)
    if a and b and bool(a["mine"]) != bool(b["mine"]):
        return "whose: my / anybody's"
    return ""


def _mine(text: Text) -> bool:
    return not text.every.isdisjoint(_MINE) and text.every.isdisjoint(_YOURS)


@noted
def _yours(text: Text) -> bool:
    if text.every.isdisjoint(_YOURS) or not text.every.isdisjoint(_MINE):
        return False
    # "How do you fix your car" is about anybody's, so about mine as well.
    return _GENERIC.search(text.raw) is None
