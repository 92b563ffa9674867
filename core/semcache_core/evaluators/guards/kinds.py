"""One thing for another of its kind: Python is not Ruby, Paris not Rome, also in lower case."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair, Words
from semcache_core.evaluators.guards._text import Text


def differ(pair: Pair) -> str:
    """A kind of which each text names a member that the other does not."""
    if pair.a.kinds.isdisjoint(pair.b.kinds):
        return ""
    a, b = _members(pair.diff_a), _members(pair.diff_b)
    shared = a.keys() & b.keys()
    if not shared:
        return ""
    kind = min(shared)  # the same one each time
    return f"{kind} differs: {a[kind]} / {b[kind]}"


def touched(text: Text) -> bool:
    """Whether it names a member of a kind."""
    return bool(text.kinds)


def _members(words: Words) -> dict[str, str]:
    return {kind: word.text for word in words for kind in word.kinds}
