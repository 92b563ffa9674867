"""Opposites: "enable" is not "disable"."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._sets import union
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
    return any(map(_told, text.every)) or not text.every.isdisjoint(_LEAST)


_LEAST = frozenset({"worst", "least"})


def _worst(pair: Pair) -> str:
    """Who names no end of a scale means the upper one, hence this one must not go unsaid."""
    a, b = pair.a.every & _LEAST, pair.b.every & _LEAST
    return f"only in one text: {', '.join(sorted(a ^ b))}" if bool(a) != bool(b) else ""


class _Said(NamedTuple):
    """What is behind a word, or behind all words of a text; nothing behind most."""

    graded: frozenset[str]
    """What "cheapest" and "slower" compare: "cheap", "slow"."""
    against: frozenset[str]
    """Stems of the opposites."""
    roots: frozenset[str]
    """What negating prefixes stand before."""


def opposites(pair: Pair) -> tuple[str, str] | None:
    """A word that only `a` has and its opposite that only `b` has."""
    a, b = _of_text(pair.a), _of_text(pair.b)
    if not (
        _has_stem(pair.b, b, a.against) or _has(pair.b, b, a.roots) or _has(pair.a, a, b.roots)
    ):
        return None
    named_a, named_b = pair.a.every | a.graded, pair.b.every | b.graded
    only_a, only_b = named_a - named_b, named_b - named_a
    return _listed(pair, sorted(only_a), only_b) or _prefixed(only_a, only_b)


def _has(text: Text, said: _Said, words: frozenset[str]) -> bool:
    return not (words.isdisjoint(text.every) and words.isdisjoint(said.graded))


def _has_stem(text: Text, said: _Said, stems: frozenset[str]) -> bool:
    if not stems:
        return False
    own = [word.stem for word in text.words]
    return not (stems.isdisjoint(own) and stems.isdisjoint(map(stem, said.graded)))


def _listed(pair: Pair, only_a: list[str], only_b: frozenset[str]) -> tuple[str, str] | None:
    stems = {stem(word): word for word in sorted(only_b)}
    for word in only_a:
        if word in pair.b.every or stem(word) in stems:
            continue
        against = sorted(_table().get(stem(word), ()))
        found = next((stems[other] for other in against if other in stems), None)
        if found:
            return word, found
    return None


def _prefixed(only_a: frozenset[str], only_b: frozenset[str]) -> tuple[str, str] | None:
    for word in sorted(only_a):
        if (root := _unprefixed(word)) in only_b:
            return word, root
    for word in sorted(only_b):
        if (root := _unprefixed(word)) in only_a:
            return root, word
    return None


@noted
def _of_text(text: Text) -> _Said:
    found = [said for word in text.every if (said := _told(word)) is not None]
    return _Said(*map(union, zip(*found, strict=True))) if found else _NOTHING


_NOTHING = _Said(frozenset(), frozenset(), frozenset())


@lru_cache(maxsize=65_536)
def _told(word: str) -> _Said | None:
    """What is behind the word; None for most, as for them there is nothing."""
    graded = _bases(word)
    against = union(_table().get(stem(one), frozenset()) for one in (word, *graded))
    roots = frozenset(filter(None, map(_unprefixed, (word, *graded))))
    said = _Said(frozenset(graded), against, roots)
    return said if any(said) else None


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


@lru_cache(maxsize=16_384)
def _unprefixed(word: str) -> str:
    for prefix, shortest in _PREFIXES.items():
        root = word.removeprefix(prefix)
        if root != word and len(root) >= shortest and root not in _NO_OPPOSITES:
            return root
    return ""
