"""The language or the script of a text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from semcache_core.evaluators.guards import _lexicon

_SCRIPTS = (
    ("CJK", "han"),
    ("HIRAGANA", "japanese"),
    ("KATAKANA", "japanese"),
    ("HANGUL", "hangul"),
    ("CYRILLIC", "cyrillic"),
    ("GREEK", "greek"),
    ("ARABIC", "arabic"),
    ("HEBREW", "hebrew"),
    ("DEVANAGARI", "devanagari"),
    ("THAI", "thai"),
)


@lru_cache(maxsize=4_096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next((script for start, script in _SCRIPTS if name.startswith(start)), "")


def language(raw: str, words: Sequence[str]) -> str:
    """The script of most letters or, for Latin ones, the language whose function words prevail."""
    return _by_function_words(words) if raw.isascii() else _by_script(raw, words)


def _by_script(raw: str, words: Sequence[str]) -> str:
    counts: dict[str, int] = {}
    letters = [letter for letter in raw[:2_000] if letter.isalpha()]
    for letter in letters:
        script = "" if letter < "\u0250" else _script(letter)
        counts[script] = counts.get(script, 0) + 1
    if "japanese" in counts:
        return "japanese"
    top = max(counts, key=lambda script: counts[script], default="")
    return top or _by_function_words(words)


def _by_function_words(words: Sequence[str]) -> str:
    """A language code if it has at least two function words and twice as many as any other."""
    known = _function_words()
    codes = [code for word in words[:400] if word in known for code in known[word]]
    english = codes.count("en")
    if english >= 2 and english >= 2 * (len(codes) - english):
        return "en"  # so it comes out below as well
    counts = Counter(["", *codes])
    counts[""] = 0
    code = max(counts, key=counts.__getitem__)
    best = counts.pop(code)
    return code if best >= 2 and best >= 2 * max(counts.values(), default=0) else ""


@lru_cache(maxsize=1)
def _function_words() -> dict[str, tuple[str, ...]]:
    """The codes of the languages that each function word belongs to."""
    listed = _lexicon.stopwords()
    words = frozenset().union(*listed.values())
    return {word: tuple(code for code in listed if word in listed[code]) for word in words}
