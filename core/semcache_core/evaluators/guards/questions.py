"""What is asked for: who, where, when and how long have different answers."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text

_ASKS = {"who": "who", "where": "where", "when": "when", "whose": "who"}
_HOW = {
    "long",
    "often",
    "far",
    "old",
    "tall",
    "big",
    "fast",
    "deep",
    "heavy",
    "hot",
    "cold",
    "late",
}
_AMOUNT = {"much", "many"}


def differ(pair: Pair) -> str:
    """The two question words, if both texts have one of those that name what is asked for."""
    a, b = _asked(pair.a), _asked(pair.b)
    return f"asked for: {a} / {b}" if a and b and a != b else ""


def _asked(text: Text) -> str:
    words = text.words[:4]
    for at, word in enumerate(words):
        if word.text in _ASKS:
            return _ASKS[word.text]
        if word.text == "how" and at + 1 < len(words):
            following = words[at + 1].text
            return f"how {following}" if following in _HOW | _AMOUNT else ""
    return ""
