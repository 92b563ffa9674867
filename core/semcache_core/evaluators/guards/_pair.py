"""Two texts side by side: what each has that the other lacks, synonyms and typos allowed for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from semcache_core.evaluators.guards._stem import swapped, typo
from semcache_core.evaluators.guards._text import Text, Word, analyse

Words = tuple[Word, ...]

_LONG = 2_000
_MANY = 12
"""With more words than this on a side, words are no longer compared one by one."""
_ROOT = 4
"""Letters that the forms of one word begin with, at least."""
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


class Pair:
    """A query and a stored question."""

    def __init__(self, a: Text, b: Text) -> None:
        self.a, self.b = a, b
        self.diff_a = _missing(a, b)
        """Content words of `a` whose stem `b` lacks, each once."""
        self.diff_b = _missing(b, a)

        self._left_a: Words | None = None
        self._left_b: Words | None = None

    # What follows costs most, and of a pair that a guard rejects it is mostly not asked. No
    # `cached_property`, which takes a lock each time in Python 3.11.

    @property
    def left_a(self) -> Words:
        """Of those, the ones for which `b` has no synonym, other form or typo either."""
        if self._left_a is None:
            self._left_a = _left(self.diff_a, self.b, self.diff_b)
        return self._left_a

    @property
    def left_b(self) -> Words:
        """As `left_a`, the other way round."""
        if self._left_b is None:
            self._left_b = _left(self.diff_b, self.a, self.diff_a)
        return self._left_b


def pair_of(a: str, b: str) -> Pair:
    """The two texts, analysed and compared; kept for a while, since guards are not alone to ask."""
    if len(a) + len(b) > _LONG:
        return Pair(analyse(a), analyse(b))
    return _kept(a, b)


@lru_cache(maxsize=1_024)
def _kept(a: str, b: str) -> Pair:
    return Pair(analyse(a), analyse(b))


def _missing(a: Text, b: Text) -> Words:
    if a.stems <= b.stems:
        return ()
    known = b.stems
    return tuple({word.stem: word for word in a.content if word.stem not in known}.values())


def _left(words: Words, other: Text, diff: Words) -> Words:
    if not words:
        return words
    groups = other.groups
    unsaid = [word for word in words if groups.isdisjoint(word.groups)]
    if not unsaid or len(diff) > _MANY:
        return tuple(unsaid)
    starts = {word.stem[:_ROOT] for word in diff}
    return tuple([word for word in unsaid if not _answered(word, other, diff, starts)])


def _answered(word: Word, other: Text, diff: Words, starts: set[str]) -> bool:
    stem = word.stem
    if stem[:_ROOT] in starts and any(same_word(stem, one.stem) for one in diff):
        return True
    return _mistyped(word, other)


def _mistyped(word: Word, other: Text) -> bool:
    """Whether the word is a typo of one of the other text's, or the other way round."""
    text = word.text
    if not word.letters:
        return False
    if word.letters in other.letters and any(swapped(text, w) for w in other.every):
        return True
    others = other.unknown if word.known else _mistypable(word, other)
    if not others or len(others) > 4 * _MANY:
        return False
    start = text[:2]  # that of a typo is one of these, see `typo`
    near = [one for one in others if one[0] in start]
    return bool(near) and any(typo(text, one) for one in near)


def _mistypable(word: Word, other: Text) -> Collection[str]:
    """The words that an unknown one may be a typo of: a name is none of "some"."""
    return [one.text for one in other.content] if word.capital else other.every


def same_word(a: str, b: str) -> bool:
    """Whether two stems belong to forms of one word: "calculat", "calculation"."""
    if a[:_ROOT] != b[:_ROOT]:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    at = min(len(a), len(b)) if at is None else at
    return at >= _ROOT and a[at:] in _SUFFIXES and b[at:] in _SUFFIXES


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
