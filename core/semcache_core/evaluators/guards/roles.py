"""Roles and directions: "from A to B" is not "from B to A"; "A and B" is "B and A"."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, Word, noted

_MARKERS = frozenset(
    ["to", "into", "than", "over", "from", "against", "after", "before", "via", "by", "beats", "of"]
)
_SKIPPED = frozenset(
    ["a", "an", "the", "my", "your", "our", "some", "is", "are", "was", "were", "do", "does", "did"]
)
_LONG = 60

Sides = tuple[frozenset[str], frozenset[str]]


def differ(pair: Pair) -> str:
    """Two things that changed places around a word that gives a direction, or around a verb."""
    if len(pair.a.words) > _LONG or len(pair.b.words) > _LONG or _symmetric(pair):
        return ""
    return _reversed(pair) or _exchanged(pair)


def _symmetric(pair: Pair) -> bool:
    words = _lexicon.labelled("relations.txt")["symmetric"]
    return not words.isdisjoint(pair.a.every & pair.b.every)


def _reversed(pair: Pair) -> str:
    b = _directions(pair.b)
    for marker, (left, right) in _directions(pair.a).items():
        other_left, other_right = b.get(marker, (left, right))
        crossed = (left & other_right) - other_left, (right & other_left) - other_right
        if all(crossed):
            return f"direction differs: {_said(left)} {marker} {_said(right)}, and the reverse"
    return ""


def _said(words: frozenset[str]) -> str:
    return " ".join(sorted(words))


@noted
def _directions(text: Text) -> dict[str, Sides]:
    """Each marker with the stems of the content words around it."""
    words = _told(text)
    return {
        word.text: (_run(words[:at][::-1]), _run(words[at + 1 :]))
        for at, word in enumerate(words)
        if word.text in _MARKERS
    }


@noted
def _told(text: Text) -> tuple[Word, ...]:
    return tuple(word for word in text.words if word.text not in _SKIPPED)


def _run(words: Sequence[Word]) -> frozenset[str]:
    found = []
    for word in words[:4]:
        if not word.content:
            break
        found.append(word.stem)
    return frozenset(found)


def _exchanged(pair: Pair) -> str:
    """As in "dog bites man", "man bites dog": two words in each other's place."""
    a, b = _told(pair.a), _told(pair.b)
    if len(a) != len(b):
        return ""
    moved = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x.stem != y.stem]
    if len(moved) != 2 or moved[1] - moved[0] < 2:
        return ""
    first, second = moved
    if (a[first].stem, a[second].stem) != (b[second].stem, b[first].stem):
        return ""
    return f"exchanged: {a[first].text} / {a[second].text}"
