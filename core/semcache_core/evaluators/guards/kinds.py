"""One thing for another of its kind: Python is not Ruby, Paris not Rome, also in lower case."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair, Words
from semcache_core.evaluators.guards._text import Text, noted


def differ(pair: Pair) -> str:
    """A kind of which each text names a member that the other does not."""
    if _kinds(pair.a).isdisjoint(_kinds(pair.b)):
        return ""
    a, b = _members(pair.diff_a), _members(pair.diff_b)
    for kind in a.keys() & b.keys():
        return f"{kind} differs: {a[kind]} / {b[kind]}"
    return ""


@noted
def _kinds(text: Text) -> frozenset[str]:
    return frozenset([kind for word in text.content for kind in word.kinds])


def _members(words: Words) -> dict[str, str]:
    return {kind: word.text for word in words for kind in word.kinds}
