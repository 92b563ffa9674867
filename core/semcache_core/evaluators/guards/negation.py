"""Negation: "which foods should I eat" is not "which foods should I not eat"."""

from __future__ import annotations

from semcache_core.evaluators.guards import _lexicon, antonyms
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text


def differ(pair: Pair) -> str:
    """Whether only one of the texts is negated, and the other says so in no other way.

    "is not working" and "is broken" agree, as do "not safe" and "dangerous".
    """
    if pair.a.negated == pair.b.negated:
        return ""
    plain, negated = (pair.b, pair.a) if pair.a.negated else (pair.a, pair.b)
    if _negative_in_itself(plain) or antonyms.opposites(pair):
        return ""
    words = _lexicon.negators() & negated.every
    return f"negated in one only: {', '.join(sorted(words))}"


def _negative_in_itself(text: Text) -> bool:
    return not text.every.isdisjoint(_lexicon.labelled("negations.txt")["inherent"])
