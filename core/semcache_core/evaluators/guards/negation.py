"""Negation: "which foods should I eat" is not "which foods should I not eat"."""

from __future__ import annotations

from functools import cache

from semcache_core.evaluators.guards import _lexicon, antonyms
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._stem import stem
from semcache_core.evaluators.guards._text import Text

_SHORT = 12
"""Words of a text that says one thing."""
_STORY = 30
"""Words from which on a text tells how things came about, where a "not" turns nothing round."""


def differ(pair: Pair) -> str:
    """Whether only one of the texts is negated, and the other says so in no other way.

    "is not working" and "is broken" agree, as do "not safe" and "dangerous".
    """
    if pair.a.negated == pair.b.negated:
        return ""
    plain, negated = (pair.b, pair.a) if pair.a.negated else (pair.a, pair.b)
    if max(len(plain.words), len(negated.words)) > _STORY:
        return ""
    if _negative_in_itself(plain, negated) or antonyms.opposites(pair):
        return ""
    words = _lexicon.negators(negated.language) & negated.every
    return f"negated in one only: {', '.join(sorted(words))}"


def touched(text: Text) -> bool:
    """Whether it is negated."""
    return text.negated


def _negative_in_itself(plain: Text, negated: Text) -> bool:
    """Not by a word that a short negated text turns round: "I forgot it", "I did not forget it"."""
    said = plain.every | plain.stems
    if len(negated.words) <= _SHORT:
        said -= negated.every | negated.stems
    return not said.isdisjoint(_inherent())


@cache
def _inherent() -> frozenset[str]:
    """Words and their stems."""
    words = _lexicon.labelled("negations.txt")["inherent"]
    return words | {stem(word) for word in words}
