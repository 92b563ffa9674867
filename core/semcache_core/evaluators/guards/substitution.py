"""One word for another in a question that is otherwise the same."""

from __future__ import annotations

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair, said


def differ(pair: Pair) -> str:
    """A word on each side that the other lacks, and that is no synonym, form, typo or framing."""
    if len(pair.left_a) != 1 or len(pair.left_b) != 1:
        return ""
    if {pair.left_a[0].text, pair.left_b[0].text} <= _lexicon.light():
        return ""  # "explain", "meaning": words of framing
    if len(pair.a.stems) < 2 or pair.a.stems.isdisjoint(pair.b.stems):
        return ""
    return f"one word differs: {said(pair.left_a)} / {said(pair.left_b)}"
