"""Names: two questions about different people, products or places."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair, Words, said


def differ(pair: Pair) -> str:
    """Names that only one of the texts has: capitalised words, or words English does not know."""
    a, b = _names(pair.left_a), _names(pair.left_b)
    if not a and not b:
        return ""
    return f"names differ: {said(a) or 'none'} / {said(b) or 'none'}"


def _names(words: Words) -> Words:
    return tuple(word for word in words if word.name)
