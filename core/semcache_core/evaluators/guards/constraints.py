"""Constraints added or dropped: "vegan", "without Docker", "for beginners", "on Heroku"."""

from __future__ import annotations

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair, Words, said, telegraphic
from semcache_core.evaluators.guards._text import Text, Word, noted

_REACH = 3
"""How many words after its opener ("for a small team") a constraint's first word may stand."""


def differ(pair: Pair) -> str:
    """What narrows one of the questions, when the other says all the rest of it."""
    for left, other, text, shorter in (
        (pair.left_a, pair.left_b, pair.a, pair.b),
        (pair.left_b, pair.left_a, pair.b, pair.a),
    ):
        if left and not other:
            found = _constraints(left, text, shorter)
            if found:
                return f"only in one question: {said(found)}"
    return ""


def _constraints(left: Words, text: Text, shorter: Text) -> Words:
    marks = _lexicon.labelled("constraints.txt")["marks"]
    opened = frozenset[str]() if telegraphic(shorter) else _opened(text)
    light = _lexicon.light()
    return tuple(
        word
        for word in left
        if word.text in marks or (word.stem in opened and word.text not in light)
    )


@noted
def _opened(text: Text) -> frozenset[str]:
    """Stems of the content words that stand behind an opener."""
    openers = _lexicon.labelled("constraints.txt")["openers"]
    found: set[str] = set()
    reach = 0
    for word in text.words:
        if word.text in openers:
            reach = _REACH
        elif reach:
            reach = _step(word, found, reach)
    return frozenset(found)


def _step(word: Word, found: set[str], reach: int) -> int:
    if word.content:
        found.add(word.stem)
    return reach - 1
