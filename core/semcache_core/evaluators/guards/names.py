"""Names: two questions about different people, products or places."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair, Words, said
from semcache_core.evaluators.guards._text import Text


def differ(pair: Pair) -> str:
    """A name on each side that the other lacks: capitalised, or a word that English does not know.

    A name on one side only is a constraint, if anything: see `constraints`.
    """
    a, b = _names(pair.left_a), _names(pair.left_b)
    return f"names differ: {said(a)} / {said(b)}" if a and b else ""


def touched(text: Text) -> bool:
    """Whether it has a name."""
    return any(word.name for word in text.content)


def _names(words: Words) -> Words:
    return tuple(word for word in words if word.name)
