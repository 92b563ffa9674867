"""What is asked for, and what is replied: who is not where, "yes, close it" not "no, do not"."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._asked import asked
from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_FIRST = re.compile(r"\W{0,20}((?:yes|yeah|yep|nope|nah)\b|\w{1,20}(?!\w|\s+\w))", re.IGNORECASE)
_VAGUE = frozenset({"", "what", "is"})
"""What may ask for anything: "what is the reason" is "why"."""
_SPECIFIC = frozenset({"when", "where", "much", "long", "often"})
"""What no yes or no answers."""
_ALIKE = frozenset(
    frozenset(pair)
    for pair in (
        ("can", "how"),
        ("can", "where"),
        ("long", "when"),
        ("how", "where"),
        ("long", "much"),
    )
)
"""Often the same question: "can I track it", "how do I track it"."""


def differ(pair: Pair) -> str:
    """The two replies, or what the two texts ask for if both say so."""
    reply_a, reply_b = reply(pair.a), reply(pair.b)
    if reply_a and reply_b and reply_a != reply_b:
        return f"replies differ: {reply_a} / {reply_b}"
    a, b = asked(pair.a), asked(pair.b)
    return f"asked for: {a} / {b}" if asks_otherwise(a, b) else ""


def asks_otherwise(a: str, b: str) -> bool:
    """Whether two kinds of answer exclude one another; vague ones exclude nothing."""
    if (a == "is" and b in _SPECIFIC) or (b == "is" and a in _SPECIFIC):
        return True
    return a != b and a not in _VAGUE and b not in _VAGUE and frozenset((a, b)) not in _ALIKE


_YES = frozenset({"yes", "yeah", "yep", "yup", "sure", "exactly", "correct", "right"})
_NO = frozenset({"no", "nope", "nah"})


@noted
def reply(text: Text) -> str:
    """Whether the text begins by agreeing or by declining: "Yes, cancel it"; not "No cats"."""
    match = _FIRST.match(text.raw)
    word = match[1].lower() if match else ""
    return "yes" if word in _YES else "no" if word in _NO else ""
