"""How often: "the daily limit" is not "the monthly limit", nor "per day" "per meal"."""

from __future__ import annotations

import re
from types import MappingProxyType

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_LONG = 2_000
_ADVERBS = MappingProxyType(
    {
        "hourly": "hour",
        "daily": "day",
        "everyday": "day",
        "nightly": "night",
        "weekly": "week",
        "fortnightly": "fortnight",
        "monthly": "month",
        "quarterly": "quarter",
        "yearly": "year",
        "annual": "year",
        "annually": "year",
    }
)
_WORDS = re.compile(
    rf"\b(?:(?P<adverb>{'|'.join(_ADVERBS)})"
    r"|(?:per|each|every)\s+(?P<of>hour|day|night|week|fortnight|month|quarter|year|annum|meal"
    r"|serving|person|item|user|order|trip))\b",
    re.IGNORECASE,
)
WORDS = frozenset({*_ADVERBS, "per", "each", "every"})
"""One of these is in all that `_WORDS` finds."""


def differ(pair: Pair) -> str:
    """The rhythms that the texts name, if both do and share none."""
    a, b = _rhythms(pair.a), _rhythms(pair.b)
    if not a or not b or not a.isdisjoint(b):
        return ""
    return f"rhythm differs: {', '.join(sorted(a))} / {', '.join(sorted(b))}"


def touched(text: Text) -> bool:
    """Whether it names a rhythm."""
    return bool(_rhythms(text))


@noted
def _rhythms(text: Text) -> frozenset[str]:
    if text.said.isdisjoint(WORDS):
        return frozenset()
    found = _WORDS.finditer(text.raw[:_LONG].lower())
    named = (_ADVERBS.get(one["adverb"] or "", one["of"]) for one in found)
    return frozenset("year" if name == "annum" else name for name in named)
