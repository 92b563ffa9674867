"""Days and times: "today" is not "tomorrow", and Friday's weather is not the weather."""

from __future__ import annotations

from collections.abc import Iterator

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, Word

_NOW = frozenset({"today", "now", "current", "currently", "nowadays", "latest"})
_WHEN = frozenset({"tomorrow", "yesterday", "tonight", "overnight"})
_PERIODS = frozenset(
    [
        "day",
        "week",
        "weekend",
        "month",
        "quarter",
        "year",
        "decade",
        "century",
        "hour",
        "minute",
        "night",
        "morning",
        "evening",
    ]
)
_WHICH = frozenset({"last", "next", "previous", "coming", "past", "following", "this"})
_CALENDAR = frozenset({"month", "weekday"})


def differ(pair: Pair) -> str:
    """The days, months or relative dates that only one of the texts has.

    "today" and "now" may be left out ("weather in Rome" means today's), other dates may not.
    """
    a, b = set(_dates(pair.a)), set(_dates(pair.b))
    if a == b:
        return ""
    only_a, only_b = (a - b) - {"now"}, (b - a) - {"now"}
    if only_a or only_b:
        return f"dates differ: {_said(a)} / {_said(b)}"
    return ""


def _said(dates: set[str]) -> str:
    return ", ".join(sorted(dates)) or "none"


def _dates(text: Text) -> Iterator[str]:
    before: Word | None = None
    for word in text.words:
        yield from _date(word, before)
        before = word


def _date(word: Word, before: Word | None) -> Iterator[str]:
    if word.text in _NOW:
        yield "now"
    elif word.text in _WHEN or not _CALENDAR.isdisjoint(word.kinds):
        yield word.text
    elif word.text in _PERIODS and before is not None and before.text in _WHICH:
        yield f"{before.text} {word.text}"
