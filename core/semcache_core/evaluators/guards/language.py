"""Language: an answer in German does not serve a question in English."""

from __future__ import annotations

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text


def differ(pair: Pair) -> str:
    """The two languages or scripts, if both are sure and they differ."""
    a, b = pair.a.language, pair.b.language
    return f"languages differ: {a} / {b}" if a and b and a != b else ""


def touched(text: Text) -> bool:
    """Whether it is not English, or not surely."""
    return text.language not in {"", "en"}
