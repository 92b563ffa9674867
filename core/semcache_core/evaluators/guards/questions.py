"""What is asked for, and what is replied: who is not where, "yes, close it" not "no, do not"."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_FIRST = re.compile(r"\W{0,20}((?:yes|yeah|yep|nope|nah)\b|\w{1,20}(?!\w|\s+\w))", re.IGNORECASE)
_ASKS = {"who": "who", "where": "where", "when": "when", "whose": "who"}
_HOW = {"long", "often", "far", "old", "tall", "big", "fast", "deep", "heavy", "late"}


def differ(pair: Pair) -> str:
    """The two replies, or the two question words if both texts say what is asked for."""
    reply_a, reply_b = reply(pair.a), reply(pair.b)
    if reply_a and reply_b and reply_a != reply_b:
        return f"replies differ: {reply_a} / {reply_b}"
    a, b = _asked(pair.a), _asked(pair.b)
    return f"asked for: {a} / {b}" if a and b and a != b else ""


_YES = frozenset({"yes", "yeah", "yep", "yup", "sure", "exactly", "correct", "right"})
_NO = frozenset({"no", "nope", "nah"})


@noted
def reply(text: Text) -> str:
    """Whether the text begins by agreeing or by declining: "Yes, cancel it"; not "No cats"."""
    match = _FIRST.match(text.raw)
    word = match[1].lower() if match else ""
    return "yes" if word in _YES else "no" if word in _NO else ""


@noted
def _asked(text: Text) -> str:
    words = text.words[:4]
    for at, word in enumerate(words):
        if word.text in _ASKS:
            return _ASKS[word.text]
        if word.text == "how" and at + 1 < len(words):
            following = words[at + 1].text
            return f"how {following}" if following in _HOW else ""
    return ""
