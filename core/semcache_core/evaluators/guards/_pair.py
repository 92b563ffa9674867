"""Two texts side by side: what each has that the other lacks, synonyms and typos allowed for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from semcache_core.evaluators.guards._stem import swapped, typo
from semcache_core.evaluators.guards._text import Text, Word, analyse, letters

Words = tuple[Word, ...]

_LONG = 2_000
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


def pair_of(a: str, b: str) -> Pair:
    """The two texts, analysed and compared; kept for a while, since guards are not alone to ask."""
    if len(a) + len(b) > _LONG:
        return compare(analyse(a), analyse(b))
    return _kept(a, b)


@lru_cache(maxsize=1_024)
def _kept(a: str, b: str) -> Pair:
    return compare(analyse(a), analyse(b))


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
    if not other.groups.isdisjoint(word.groups):
        return True
    if len(diff) > _MANY:
        return False
    start = word.stem[:4]
    alike = [w.stem for w in diff if w.stem[:4] == start]
    return any(same_word(word.stem, one) for one in alike) or _mistyped(word, other)


def _mistyped(word: Word, other: Text) -> bool:
    """Whether the word is a typo of one of the other text's, or the other way round."""
    text = word.text
    if len(text) < 4:
        return False
    if letters(text) in other.letters and any(swapped(text, w) for w in other.every):
        return True
    others = other.unknown if word.known else other.every
    start = text[:2]  # that of a typo is one of these, see `typo`
    near = [one for one in others if one[:1] in start] if len(others) <= 4 * _MANY else []
    return any(typo(text, one) for one in near)


def same_word(a: str, b: str) -> bool:
    """Whether two stems belong to forms of one word: "calculat", "calculation"."""
    if a[:4] != b[:4]:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    at = min(len(a), len(b)) if at is None else at
    return at >= 4 and a[at:] in _SUFFIXES and b[at:] in _SUFFIXES


def slips(pair: Pair) -> int:
    """How many words of the two texts are typos of one of the other's."""
    return _slips(pair.diff_a, pair.b) + _slips(pair.diff_b, pair.a)


def _slips(words: Words, other: Text) -> int:
    return sum([_mistyped(word, other) for word in words]) if len(words) <= _MANY else 0


def telegraphic(text: Text) -> bool:
    """Whether it is key words only ("pandas drop column"), which leave out what is plain."""
    return all(word.content for word in text.words)


def said(words: Sequence[Word]) -> str:
    """Words for a reason, at most four of them."""
    shown = ", ".join(word.text for word in words[:4])
    return shown + ", ..." if len(words) > 4 else shown
