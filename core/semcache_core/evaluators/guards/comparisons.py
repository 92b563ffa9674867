"""What is compared with what: "faster than on Basic" asks another thing than "on Premium"."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

WORDS = frozenset({"than"})
_LONG = 2_000
_THAN = re.compile(
    r"(?<!other )(?<!rather )(?<!different )(?<!differently )\bthan\b"
    r"(?!\s+(?:[\d$\u00a3\u20ac]|usual|normal|before|an?\b|one\b|two\b|three\b|four\b|five\b|ten\b|twenty\b"
    r"|thirty\b|half\b))",
    re.IGNORECASE,
)
_AGAINST = re.compile(
    r"\b(?:vs|versus|compared?|or|over|differ\w*|instead|outweigh\w*|most|least)\b|\w+est\b",
    re.IGNORECASE,
)


def differ(pair: Pair) -> str:
    """A comparison in one text where the other compares nothing."""
    for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
        if _compares(one) and not _compares(other) and not _weighs(other):
            return "compared in one only: than"
    return ""


def touched(text: Text) -> bool:
    """Whether it compares."""
    return _compares(text)


@noted
def _compares(text: Text) -> bool:
    return "than" in text.every and _THAN.search(text.raw[:_LONG]) is not None


@noted
def _weighs(text: Text) -> bool:
    return _AGAINST.search(text.raw[:_LONG]) is not None
