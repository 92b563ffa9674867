"""Orders: "play jazz on Spotify" does what its words say, so every one of them has to agree."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._asked import asked
from semcache_core.evaluators.guards._pair import Pair, said
from semcache_core.evaluators.guards._text import Text, noted

_ASKS = re.compile(
    r"\A\W{0,9}(?:is|are|was|does|do|will)\b"
    r"|\b(?:how|what|why|when|where|who|which|explain|describe|difference)\b",
    re.IGNORECASE,
)
_LOOKED_AT = 300
"""Characters in which a question word is looked for."""


def differ(pair: Pair) -> str:
    """Words that only one of two orders has; synonyms and typos are let pass."""
    if not (pair.left_a or pair.left_b) or not (orders(pair.a) and orders(pair.b)):
        return ""
    return f"orders differ: {said(pair.left_a) or 'none'} / {said(pair.left_b) or 'none'}"


@noted
def orders(text: Text) -> bool:
    """Whether the text begins with a verb of doing, asks nothing and denies nothing."""
    if not text.content or text.negated or asked(text) or _ASKS.search(text.raw[:_LOOKED_AT]):
        return False
    verbs = _lexicon.labelled("orders.txt")["verbs"]
    return any(word.text in verbs for word in text.words[:2] if word.content)
