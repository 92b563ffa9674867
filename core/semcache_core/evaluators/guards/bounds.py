"""Bounds: "for more than two hours" is not "for up to two hours"."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_NUMBER = (
    r"\s+(?:the\s+)?[$\u20ac\u00a3]?"
    r"(?:\d|one\b|two|three|four|five|six|seven|eight|nine|ten|half|a\b|an\b)"
)
_BOUND = re.compile(
    rf"\b(?:(?P<least>(?<!no )(?:more|longer|later|older|greater|larger|bigger|higher)\s+than"
    rf"|at\s+least|over|above|exceeding|after){_NUMBER}"
    r"|(?P<most>no\s+(?:more|longer|later)\s+than"
    r"|(?:less|fewer|shorter|younger|smaller|lower)\s+than"
    rf"|at\s+most|up\s+to|under|below|within|before){_NUMBER})",
    re.IGNORECASE,
)
_LONG = 2_000
WORDS = frozenset({"than", "least", "most", "exceeding"}) | frozenset(
    {"over", "above", "under", "below", "up", "within", "after", "before"}
)
"""One of these is in all that `_BOUND` finds."""


def differ(pair: Pair) -> str:
    """A lower bound in one text, an upper one in the other."""
    a, b = _bounds(pair.a), _bounds(pair.b)
    if not a or not b or not a.isdisjoint(b):
        return ""
    return f"bounds differ: {' '.join(sorted(a))} / {' '.join(sorted(b))}"


def touched(text: Text) -> bool:
    """Whether it names a bound."""
    return bool(_bounds(text))


@noted
def _bounds(text: Text) -> frozenset[str]:
    if text.said.isdisjoint(WORDS):
        return frozenset()
    return frozenset(
        "at least" if match["least"] else "at most" for match in _BOUND.finditer(text.raw[:_LONG])
    )
