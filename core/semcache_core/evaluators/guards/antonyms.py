"""Opposites: "enable" is not "disable"."""

from __future__ import annotations

from functools import lru_cache

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._stem import stem
from semcache_core.evaluators.guards._text import Text, noted

_PREFIXES = {
    "un": 4,
    "dis": 5,
    "de": 8,
    "dés": 5,
    "불": 3,
    "non": 5,
    "in": 6,
    "im": 6,
    "ir": 6,
    "il": 6,
}
"""Negating prefixes, each with the shortest word it is looked for on ("form", "inform")."""
_NO_OPPOSITES = frozenset({"order", "cover", "count", "position", "pose", "solution", "formation"})


def differ(pair: Pair) -> str:
    """A word of one text whose opposite only the other has; none if one of them is negated."""
    if pair.a.negated != pair.b.negated:
        return ""
    found = opposites(pair)
    return f"opposites: {found[0]} / {found[1]}" if found else _worst(pair)


def touched(text: Text) -> bool:
    """Whether a word of it may have an opposite."""
    return any(map(_polar, text.every))


@lru_cache(maxsize=65_536)
def _polar(word: str) -> bool:
    table = _table()
    turns = any(stem(form) in table for form in (word, *_bases(word)))
    return turns or word in _LEAST or any(map(_unprefixed, (word, *_bases(word))))


_LEAST = frozenset({"worst", "least"})


def _worst(pair: Pair) -> str:
    """Who names no end of a scale means the upper one, hence this one must not go unsaid."""
    a, b = pair.a.every & _LEAST, pair.b.every & _LEAST
    return f"only in one text: {', '.join(sorted(a ^ b))}" if bool(a) != bool(b) else ""


def opposites(pair: Pair) -> tuple[str, str] | None:
    """A word that only `a` has and its opposite that only `b` has."""
    a, b = _named(pair.a), _named(pair.b)
    if not (_turning(pair.a) or _prefixes(pair.a) or _prefixes(pair.b)):
        return None
    only_a, only_b = a - b, b - a
    if not only_a or not only_b:
        return None
    return _listed(pair, only_b) or _prefixed(pair, only_a, only_b)


def _listed(pair: Pair, only_b: frozenset[str]) -> tuple[str, str] | None:
    turning = _turning(pair.a)
    stems = {stem(word): word for word in only_b} if turning else {}
    for word, against in turning:
        if word in pair.b.every or stem(word) in stems:
            continue
        found = next((stems[other] for other in against if other in stems), None)
        if found:
            return word, found
    return None


@noted
def _turning(text: Text) -> list[tuple[str, frozenset[str]]]:
    """The words of the text that have opposites, with the stems of those."""
    found = ((word, _table().get(stem(word))) for word in _named(text))
    return [(word, others) for word, others in found if others]


@noted
def _named(text: Text) -> frozenset[str]:
    return text.every | _graded(text)


@noted
def _graded(text: Text) -> frozenset[str]:
    """What "cheapest" and "slower" compare: "cheap", "slow"."""
    return frozenset(base for word in text.every for base in _bases(word))


@lru_cache(maxsize=16_384)
def _bases(word: str) -> tuple[str, ...]:
    cut = next((word.removesuffix(end) for end in ("est", "er") if word.endswith(end)), "")
    if len(cut) < 3:
        return ()
    forms = (cut, cut + "e", cut[:-1] if cut[-1] == cut[-2] else cut, cut[:-1] + "y")
    return tuple(dict.fromkeys(form for form in forms if form in _lexicon.antonyms()))


@lru_cache(maxsize=1)
def _table() -> dict[str, frozenset[str]]:
    """Stems with the stems of their opposites."""
    found: dict[str, frozenset[str]] = {}
    for word, against in _lexicon.antonyms().items():
        found[stem(word)] = found.get(stem(word), frozenset()) | {stem(other) for other in against}
    return found


def _prefixed(pair: Pair, only_a: frozenset[str], only_b: frozenset[str]) -> tuple[str, str] | None:
    for word, root in _prefixes(pair.a):
        if word in only_a and root in only_b:
            return word, root
    for word, root in _prefixes(pair.b):
        if word in only_b and root in only_a:
            return root, word
    return None


@noted
def _prefixes(text: Text) -> list[tuple[str, str]]:
    """The words of the text that begin with a negating prefix, with what is behind it."""
    return [(word, root) for word in _named(text) if (root := _unprefixed(word))]


@lru_cache(maxsize=16_384)
def _unprefixed(word: str) -> str:
    for prefix, shortest in _PREFIXES.items():
        root = word.removeprefix(prefix)
        if root != word and len(root) >= shortest and root not in _NO_OPPOSITES:
            return root
    return ""
