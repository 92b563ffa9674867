"""Word for word: what is left when neither a synonym in doubt nor a dropped word is let pass.

For orders, which do what their words say, and for questions among many that look alike (names and
values in one frame), where one word in ten makes another question.
"""

from __future__ import annotations

from semcache_core.evaluators.guards._asked import asked
from semcache_core.evaluators.guards._pair import Pair, Words, said, same_word
from semcache_core.evaluators.guards._text import Text
from semcache_core.evaluators.guards.orders import orders
from semcache_core.evaluators.guards.questions import reply

_EXACT = frozenset({"my", "your", "his", "her", "our", "their", "its", "now", "nearby", "around"})
"""Small words that name a place, a time or an owner."""
_LOOSE = frozenset({"", "what"})


def differ(pair: Pair) -> str:
    """For two orders, how they are not the same word for word; "" for other texts."""
    return unequal(pair) if orders(pair.a) and orders(pair.b) else ""


def unequal(pair: Pair) -> str:
    """How two texts are not the same word for word, listed synonyms and typos allowed."""
    if pair.left_a or pair.left_b:
        return f"words differ: {said(pair.left_a) or 'none'} / {said(pair.left_b) or 'none'}"
    a, b = pair.a, pair.b
    if a.every & _EXACT != b.every & _EXACT:
        return f"only in one: {', '.join(sorted((a.every ^ b.every) & _EXACT))}"
    if reply(a) != reply(b):
        return f"replies differ: {reply(a) or 'none'} / {reply(b) or 'none'}"
    if asked(a) != asked(b) and not {asked(a), asked(b)} <= _LOOSE:
        return f"asked for: {asked(a) or 'nothing'} / {asked(b) or 'nothing'}"
    form = _inflected(a.content, b) or _derived(pair)
    return f"another form of {form!r}" if form else ""


def _inflected(words: Words, other: Text) -> str:
    """A noun in the plural that is in the singular in the other text, or the reverse."""
    surfaces = {word.text for word in other.content}
    alike = (word.text for word in words if word.stem in other.stems)
    return next((text for text in alike if text not in surfaces and _plural(text, surfaces)), "")


def _plural(text: str, others: set[str]) -> bool:
    return text.endswith("s") or f"{text}s" in others or f"{text}es" in others


def _derived(pair: Pair) -> str:
    """A word that only counts as the other's because it is built on the same root."""
    for word in pair.diff_a:
        if any(
            same_word(word.stem, other.stem) and word.groups.isdisjoint(other.groups)
            for other in pair.diff_b
        ):
            return word.text
    return ""
