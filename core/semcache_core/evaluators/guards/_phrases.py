"""Makes one token of each phrase that stands for one thing, and leaves fillers out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._token import Token


def merged(tokens: list[Token]) -> list[Token]:
    """Fillers left out, names of several words made one."""
    beginnings = _beginnings()
    starts = [at for at, token in enumerate(tokens) if token.text in beginnings]
    if not starts:
        return tokens
    texts = [*[token.text for token in tokens], ""]
    found: list[Token] = []
    done = 0
    for at in starts:
        if at >= done and _may_follow(beginnings[texts[at]], texts[at + 1]):
            length, becomes = _phrase_at(texts, at)
            if length:
                found += tokens[done:at]
                found += _one(tokens[at : at + length], becomes)
                done = at + length
    return found + tokens[done:] if done else tokens


def _may_follow(seconds: frozenset[str], text: str) -> bool:
    return "" in seconds or text in seconds


def _one(tokens: Sequence[Token], becomes: str) -> list[Token]:
    if not becomes:
        return []
    return [Token(becomes, any(token.capital for token in tokens), tokens[0].glued)]


@lru_cache(maxsize=1)
def _beginnings() -> dict[str, frozenset[str]]:
    """What may follow the first word of a phrase, "" where that is the whole phrase.

    Hardly any text has two such words, and to look is quick.
    """
    return {
        first: frozenset(phrase[1] if len(phrase) > 1 else "" for phrase, _ in known)
        for first, known in _lexicon.phrases().items()
    }


def _phrase_at(texts: list[str], at: int) -> tuple[int, str]:
    for phrase, becomes in _lexicon.phrases().get(texts[at], ()):
        if tuple(texts[at : at + len(phrase)]) == phrase:
            return len(phrase), becomes
    return 0, ""
