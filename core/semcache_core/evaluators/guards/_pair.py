"""Two texts side by side: what each has that the other lacks, synonyms and typos allowed for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from semcache_core.evaluators.guards._stem import typo
from semcache_core.evaluators.guards._text import Text, Word, groups_of

Words = tuple[Word, ...]

_MANY = 12
"""With more words than this on a side, words are no longer compared one by one."""
_SUFFIXES = frozenset(
    [
        "",
        "e",
        "s",
        "es",
        "ion",
        "ation",
        "ition",
        "al",
        "ally",
        "ial",
        "er",
        "or",
        "ence",
        "ent",
        "ment",
        "ity",
        "ty",
        "ness",
        "ive",
        "able",
        "ible",
        "ing",
        "ed",
        "ance",
        "ant",
        "ic",
        "ical",
        "ist",
        "y",
        "i",
        "ize",
        "is",
        "ful",
        "less",
        "ous",
        "age",
        "ure",
        "en",
        "th",
        "ion",
        "at",
        "atic",
        "ship",
        "ism",
        "ation",
        "ator",
    ]
)


class Pair(NamedTuple):
    """A query and a stored question."""

    a: Text
    b: Text
    diff_a: Words
    """Content words of `a` whose stem `b` lacks, each once."""
    diff_b: Words
    left_a: Words
    """Of those, the ones for which `b` has no synonym, other form or typo either."""
    left_b: Words


def compare(a: Text, b: Text) -> Pair:
    """The pair of two analysed texts."""
    diff_a, diff_b = _missing(a, b), _missing(b, a)
    return Pair(a, b, diff_a, diff_b, _left(diff_a, b, diff_b), _left(diff_b, a, diff_a))


def _missing(a: Text, b: Text) -> Words:
    if a.stems <= b.stems:
        return ()
    return tuple({word.stem: word for word in a.content if word.stem not in b.stems}.values())


def _left(words: Words, other: Text, diff: Words) -> Words:
    return tuple(word for word in words if not _answered(word, other, diff))


def _answered(word: Word, other: Text, diff: Words) -> bool:
    if not other.groups.isdisjoint(groups_of(word)):
        return True
    if len(diff) > _MANY:
        return False
    return any(same_word(word.text, word.stem, w.text, w.stem) for w in diff) or (
        word.text.isalpha()
        and len(other.every) <= 4 * _MANY
        and _typo_of_any(word.text, other.every)
    )


def _typo_of_any(text: str, others: Collection[str]) -> bool:
    return any(other[0] in text[:2] and typo(text, other) for other in others if len(other) > 3)


@lru_cache(maxsize=65_536)
def same_word(a: str, stem_a: str, b: str, stem_b: str) -> bool:
    """Whether the words are forms of one ("calculate", "calculation") or one is a typo."""
    return (
        a == b or _derived(stem_a, stem_b) or typo(a, b) or a.replace(" ", "") == b.replace(" ", "")
    )


def _derived(a: str, b: str) -> bool:
    at = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    return at >= 4 and a[at:] in _SUFFIXES and b[at:] in _SUFFIXES


def said(words: Sequence[Word]) -> str:
    """Words for a reason, at most four of them."""
    shown = ", ".join(word.text for word in words[:4])
    return shown + ", ..." if len(words) > 4 else shown
