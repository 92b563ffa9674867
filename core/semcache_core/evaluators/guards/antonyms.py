"""Opposites: "enable" is not "disable"."""

from __future__ import annotations

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._stem import stem

_PREFIXES = {"un": 5, "dis": 5, "non": 5, "in": 6, "im": 6, "ir": 6, "il": 6}
"""Negating prefixes, each with the shortest word it is looked for on ("form", "inform")."""
_NO_OPPOSITES = frozenset({"order", "cover", "count", "position", "pose", "solution", "formation"})


def differ(pair: Pair) -> str:
    """A word of one text whose opposite only the other has; none if one of them is negated."""
    if pair.a.negated != pair.b.negated:
        return ""
    found = opposites(pair)
    return f"opposites: {found[0]} / {found[1]}" if found else ""


def opposites(pair: Pair) -> tuple[str, str] | None:
    """A word that only `a` has and its opposite that only `b` has."""
    only_a, only_b = pair.a.every - pair.b.every, pair.b.every - pair.a.every
    if not only_a or not only_b:
        return None
    stems_a, stems_b = _by_stem(only_a), _by_stem(only_b)
    for word in only_a:
        for other in _opposites_of(word):
            if other in only_b or (stem(other) in stems_b and stem(word) not in stems_b):
                return word, other
    return _prefixed(stems_a, stems_b)


def _by_stem(words: frozenset[str]) -> dict[str, str]:
    return {stem(word): word for word in words}


def _opposites_of(word: str) -> frozenset[str]:
    known = _lexicon.antonyms()
    return known.get(word) or known.get(word.removesuffix("s")) or frozenset()


def _prefixed(a: dict[str, str], b: dict[str, str]) -> tuple[str, str] | None:
    for one, other in ((a, b), (b, a)):
        for root, word in one.items():
            for prefix, shortest in _PREFIXES.items():
                if len(word) >= shortest and word not in _NO_OPPOSITES and prefix + root in other:
                    found = (word, other[prefix + root])
                    return found if one is a else found[::-1]
    return None
