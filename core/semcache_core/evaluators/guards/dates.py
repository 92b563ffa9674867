"""Days and times: "today" is not "tomorrow", and Friday's weather is not the weather."""

from __future__ import annotations

from collections.abc import Iterator

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, Word, noted

_NOW = frozenset({"today", "now", "current", "currently", "nowadays", "latest"})
_WHEN = frozenset({"tomorrow", "yesterday", "tonight", "overnight"})
_AROUND = frozenset({"tomorrow", "yesterday"})
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
_SAID = _NOW | _WHEN | _WHICH


def differ(pair: Pair) -> str:
    """The days, months or relative dates that only one of the texts has.

    "today" and "now" may be left out ("weather in Rome" means today's), other dates may not.
    """
    a, b = _dates(pair.a), _dates(pair.b)
    if a == b:
        return ""
    only_a, only_b = (a - b) - {"now"}, (b - a) - {"now"}
    if only_a or only_b:
        return f"dates differ: {_said(a)} / {_said(b)}"
    return ""


def touched(text: Text) -> bool:
    """Whether it names a date other than today."""
    return _said_any(text) and bool(_dates(text) - {"now"})


def _said_any(text: Text) -> bool:
    return not (text.said.isdisjoint(_SAID) and text.kinds.isdisjoint(_CALENDAR))


def _said(dates: frozenset[str]) -> str:
    return ", ".join(sorted(dates)) or "none"


@noted
def _dates(text: Text) -> frozenset[str]:
    if not _said_any(text):
        return frozenset()
    pairs = zip(text.words, (None, *text.words), strict=False)
    return frozenset(date for word, before in pairs for date in _date(word, before))


def _date(word: Word, before: Word | None) -> Iterator[str]:
    if word.text in _NOW:
        yield "now"
    elif before is not None and _relative(word, before):
        yield f"{before.text} {word.text}"
    elif word.text in _WHEN or not _CALENDAR.isdisjoint(word.kinds):
        yield word.text


def _relative(word: Word, before: Word) -> bool:
    """As in "after tomorrow", "next week", "this summer"."""
    if word.text in _AROUND:
        return before.text in {"after", "before"}
    return before.text in _WHICH and (word.text in _PERIODS or "season" in word.kinds)
