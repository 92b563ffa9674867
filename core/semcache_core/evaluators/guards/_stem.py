"""A light English stemmer and the tests for "the same word, written otherwise"."""

from __future__ import annotations

import re
from functools import lru_cache

from semcache_core.evaluators.guards import _lexicon

_OUR = re.compile(r"(?<=av|ol|ab|hb|on|um|am|rm|ig|nd|lm)our|our$")
_VOWELS = frozenset("aeiouy")
_NO_ADVERBS = frozenset(
    ["apply", "supply", "reply", "imply", "comply", "multiply", "rely", "family", "july", "italy"]
) | frozenset(
    ["belly", "bully", "jelly", "rally", "tally", "early", "assembly", "anomaly", "monopoly"]
)
"""Words whose "ly" is no ending: "apply" is not about an app."""
_ENDINGS = ("ingly", "edly", "ing", "ed", "ly")


def _undouble(word: str) -> str:
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
    return word[:-1] if doubled else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _spelling(word: str) -> str:
    word = word.replace("isation", "ization")
    if word.endswith(("ise", "yse")) and len(word) > 5:
        word = word[:-2] + "ze"
    if "our" not in word or len(word) < 6:
        return word
    return _OUR.sub("or", word)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """What a word's inflections and its British and American spellings have in common.

    Weaker than Porter's stemmer on purpose: "universe" and "university" must stay apart, and so
    must "hot" and "hotter".
    """
    word = _lexicon.irregular().get(word, word)
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = _spelling(_singular(word))
    if word in _NO_ADVERBS:
        return _finish(word)
    for ending in _ENDINGS:
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and not _VOWELS.isdisjoint(rest):
            return _finish(_undouble(rest))
    return _finish(word)


def _finish(word: str) -> str:
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def one_edit(a: str, b: str) -> bool:
    """Whether one insertion, deletion or substitution turns `a` into `b`."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1 or a == b:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    return a[start + 1 :] == b[start + 1 :]


def swapped(a: str, b: str) -> bool:
    """Whether `a` is `b` with two neighbouring letters swapped."""
    if len(a) != len(b):
        return False
    differ = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    if len(differ) != 2 or differ[1] != differ[0] + 1:
        return False
    first, second = differ
    return a[first] == b[second] and a[second] == b[first]


@lru_cache(maxsize=65_536)
def typo(a: str, b: str) -> bool:
    """Whether one of the words is the other, mistyped: near, and one of them is no known word.

    Two known words one letter apart ("Iran", "Iraq") are two words; two unknown ones may be two
    names ("VTI", "VTV"), unless one long name merely lacks a letter of the other. A swap of
    neighbouring letters is a typo in any case: see `swapped`.
    """
    if abs(len(a) - len(b)) > 2 or min(len(a), len(b)) < 4 or not _same_start(a, b):
        return False
    known = _lexicon.ranks()
    if not (a.isalpha() and b.isalpha()) or (a in known and b in known):
        return False
    if a not in known and b not in known:
        return len(a) != len(b) and min(len(a), len(b)) > 5 and one_edit(a, b)
    return one_edit(a, b) or (min(len(a), len(b)) > 7 and _two_edits(a, b))


def _same_start(a: str, b: str) -> bool:
    """The first letter is hardly ever mistyped: an ebook is no book."""
    return a[0] == b[0] or (a[0] == b[1] and a[1] == b[0])


def _two_edits(a: str, b: str) -> bool:
    shorter = (b[:i] + b[i + 1 :] for i in range(len(b)))
    return any(one_edit(a, cut) for cut in shorter)
