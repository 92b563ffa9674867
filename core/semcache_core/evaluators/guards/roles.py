"""Roles and directions: "from A to B" is not "from B to A"; "A and B" is "B and A"."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair, telegraphic
from semcache_core.evaluators.guards._stem import stem
from semcache_core.evaluators.guards._text import Text, Word, noted

_MARKERS = frozenset(
    ["to", "into", "than", "over", "from", "against", "after", "before", "via", "by", "beats", "of"]
)
_SKIPPED = frozenset(
    ["a", "an", "the", "my", "your", "our", "some", "is", "are", "was", "were", "do", "does", "did"]
)
_I = frozenset({"i", "we"})
_ME = frozenset({"me", "us"})
WORDS = _MARKERS | _ME
_LONG = 60

Sides = tuple[frozenset[str], frozenset[str]]


def differ(pair: Pair) -> str:
    """Two things that changed places around a word that gives a direction, or around a verb."""
    if len(pair.a.words) > _LONG or len(pair.b.words) > _LONG or _symmetric(pair):
        return ""
    return _reversed(pair) or _exchanged(pair) or _turned(pair)


def touched(text: Text) -> bool:
    """Whether it says a direction, or what is done to me; words change places in any text."""
    return bool(_directions(text)) or not _ME.isdisjoint(text.said)


def _symmetric(pair: Pair) -> bool:
    return not _either_way(pair.a).isdisjoint(_either_way(pair.b))


@noted
def _either_way(text: Text) -> frozenset[str]:
    """Words of it that hold the same of two things in either order: "between", "and"."""
    return text.every & _lexicon.labelled("relations.txt")["symmetric"]


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
    if text.said.isdisjoint(_MARKERS):
        return {}
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
    if pair.diff_a or pair.diff_b:
        return ""
    a, b = _told(pair.a), _told(pair.b)
    if len(a) != len(b):
        return ""
    moved = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x.stem != y.stem]
    if len(moved) != 2 or moved[1] - moved[0] < 2:
        return ""
    first, second = moved
    if (a[first].stem, a[second].stem) != (b[second].stem, b[first].stem):
        return ""
    if (
        telegraphic(pair.a)
        and telegraphic(pair.b)
        and not _lexicon.labelled("orders.txt")["verbs"].isdisjoint({a[first].text, a[second].text})
    ):
        return ""
    return f"exchanged: {a[first].text} / {a[second].text}"


def _turned(pair: Pair) -> str:
    """As in "can I sue my landlord", "can my landlord sue me": who does it to whom."""
    if _ME.isdisjoint(pair.a.said) and _ME.isdisjoint(pair.b.said):
        return ""
    for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
        verb, doers = _done_to_me(one)
        doing = _done_by_me(other)
        if verb in doing and not doers.isdisjoint(doing):
            return f"I and {_said(doers & doing)} changed places"
    return ""


@noted
def _done_by_me(text: Text) -> frozenset[str]:
    """The stems behind "I" in a text that knows no "me"."""
    words = _spoken(text)
    at = next((i for i, word in enumerate(words) if word in _I), len(words))
    return _stems(text, words[at:]) if _ME.isdisjoint(words) else frozenset()


@noted
def _done_to_me(text: Text) -> tuple[str, frozenset[str]]:
    """The verb before "me" in a text that knows no "I", and the stems before that."""
    words = _spoken(text)
    at = next((i for i, word in enumerate(words) if word in _ME), 0)
    if at < 2 or not _I.isdisjoint(words):
        return "", frozenset()
    return stem(words[at - 1]), _stems(text, words[: at - 1])


def _spoken(text: Text) -> list[str]:
    """The words as they stand: "can I" is left out of the others as a mere form of asking."""
    return text.raw.lower().replace("?", " ").split() if len(text.words) <= _LONG else []


def _stems(text: Text, words: Sequence[str]) -> frozenset[str]:
    return text.stems & {stem(word) for word in words}
