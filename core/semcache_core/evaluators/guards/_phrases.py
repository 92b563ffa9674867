"""Makes one token of each phrase that stands for one thing, and leaves fillers out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._token import Token


def merged(tokens: list[Token]) -> list[Token]:
    """Fillers left out, names of several words made one."""
    texts = [*[token.text for token in tokens], ""]
    firsts, known = _lexicon.phrases(), _known()
    starts = [
        at
        for at, text in enumerate(texts)
        if text in firsts and ((text, texts[at + 1]) in known or (text,) in known)
    ]
    found: list[Token] = []
    done = 0
    for at in starts:
        length, becomes = _phrase_at(texts, at) if at >= done else (0, "")
        if length:
            found += tokens[done:at]
            found += _one(tokens[at : at + length], becomes)
            done = at + length
    return found + tokens[done:] if done else tokens


def _one(tokens: Sequence[Token], becomes: str) -> list[Token]:
    if not becomes:
        return []
    return [Token(becomes, any(token.capital for token in tokens), tokens[0].glued)]


@cache
def _known() -> frozenset[tuple[str, ...]]:
    """The first two words of each phrase, or its only one: hardly any text has them."""
    return frozenset(phrase[:2] for known in _lexicon.phrases().values() for phrase, _ in known)


def _phrase_at(texts: list[str], at: int) -> tuple[int, str]:
    for phrase, becomes in _lexicon.phrases().get(texts[at], ()):
        if tuple(texts[at : at + len(phrase)]) == phrase:
            return len(phrase), becomes
    return 0, ""
