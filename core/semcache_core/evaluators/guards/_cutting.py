"""Cuts a text into tokens: words in lower case, numbers, signs, ends of sentences.

No token reaches over a space, so that each piece between two spaces is cut once and kept: most of a
question's pieces stood in others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._token import Token


def _pattern(letter: str, inner: str) -> re.Pattern[str]:
    """What texts are cut by; `letter` begins a word, `inner` goes on with it."""
    return re.compile(
        # Before "w/o" and its like the boundary is looked for last: most words begin otherwise.
        r"[wW](?<=\b.)/[oO]\b|[bB](?<=\b.)/[wW]\b|[kK](?<=\b.)[mM]/[hH]\b|[mM](?<=\b.)[bB]/[sS]\b"
        r"|[$€£¥₹]|\d+(?:[.,:/-]\d+)*%?|[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
        rf"|{letter}{inner}*(?:['.&_-]{inner}+)*(?:[+#]+|(?='s\b))?"
        r"|[=!<>*/^|&+]{2,}|[=<>]|[.?!;\n]"
    )


_TOKEN = _pattern(r"[^\W\d_]", r"[^\W_\u3040-\u30ff\u3400-\u9fff]")
_ASCII = _pattern("[A-Za-z]", "[A-Za-z0-9]")
"""The same for texts of nothing else, where it is faster."""
ENDS = frozenset(".?!;\n")
_CODES = {"US": "usa"}
_KEPT = 40
"""Longer pieces are cut each time: they are hardly met again, and would fill the memory."""


class Piece(NamedTuple):
    """What stands between two spaces."""

    tokens: tuple[Token, ...]
    """With contractions and variants spelt out."""
    size: int
    """Of the tokens before that."""
    capitals: int
    """Of those, the ones with a capital."""
    ends: bool
    """Whether the last one ends a sentence."""
    said: frozenset[str]
    """The tokens before and after that, in lower case."""


class Cut(NamedTuple):
    """A text in tokens."""

    tokens: list[Token]
    said: frozenset[str]
    """All that the text says, fillers included, also as it stood before it was spelt out."""


def cut(raw: str) -> Cut:
    """Capitals count inside a sentence, and only where most words have none (no title case)."""
    text = raw if raw.isascii() else unicodedata.normalize("NFKC", raw).replace("’", "'")
    chunks = text.split(" ")
    pieces, opening = [], True
    for chunk in chunks:
        if chunk:
            piece = _piece(chunk, opening)
            pieces.append(piece)
            opening = piece.ends or (opening and not piece.size)
    count = sum([piece.size for piece in pieces])
    if sum([piece.capitals for piece in pieces]) * 2 > count > 3:
        pieces = [_flat(chunk) for chunk in chunks if chunk]
    tokens = [token for piece in pieces for token in piece.tokens]
    return Cut(tokens, frozenset().union(*[piece.said for piece in pieces]))


def _piece(chunk: str, opening: bool) -> Piece:
    return (_remembered if len(chunk) <= _KEPT else _made)(chunk, opening)


def _made(chunk: str, opening: bool) -> Piece:
    return _spelt(list(_cut(chunk, opening)))


_remembered = lru_cache(maxsize=16_384)(_made)


@lru_cache(maxsize=8_192)
def _flat(chunk: str) -> Piece:
    """As in a title, whose capitals say nothing."""
    lowered = [
        (token._replace(text=token.text.lower(), capital=False), False)
        for token, _ in _cut(chunk, opening=True)
    ]
    return _spelt(lowered)


def _spelt(found: list[tuple[Token, bool]]) -> Piece:
    """`found`: tokens, each with whether it has a capital."""
    tokens = tuple(part for token, _ in found for part in _expanding(token))
    said = frozenset(token.text.lower() for token in (*tokens, *(token for token, _ in found)))
    ends = bool(found) and found[-1][0].text in ENDS
    return Piece(tokens, len(found), sum(capital for _, capital in found), ends, said)


def _cut(chunk: str, opening: bool) -> Iterator[tuple[Token, bool]]:
    """The tokens of a piece; `opening`: a sentence begins with it, where a capital says nothing."""
    end = -1
    for match in (_ASCII if chunk.isascii() else _TOKEN).finditer(chunk):
        start, stop = match.span()
        word = match[0]
        capital = word[0].isupper() and word != "I"
        glued = start == end or chunk[end:start] == "("
        yield Token(_lowered(word), capital and not opening, glued), capital
        end, opening = stop, word in ENDS


def _lowered(word: str) -> str:
    """In lower case, but for codes that look like small words: Maine is not me."""
    small = word.lower()
    if len(word) == 2 and word.isupper() and word != "AM" and small in _lexicon.english():
        return _CODES.get(word, word)
    return small


def _expanding(token: Token) -> Iterator[Token]:
    text = token.text
    spelt = _lexicon.spelling().get(text)
    if spelt:
        yield from (Token(word, token.capital, False) for word in spelt)
    elif text.endswith("n't"):
        yield from (Token(text[:-3], False, False), Token("not", False, False))
    elif (
        "-" in text
        and text[1] != "-"  # an e-book is no book
        and text.replace("-", "").isalpha()
        and (text,) not in _lexicon.kinds().canonical
    ):
        yield from (Token(part, token.capital, False) for part in text.split("-") if part)
    else:
        yield token._replace(text=_bare(text))


def _bare(text: str) -> str:
    text = text.removesuffix("'s")
    if "-" in text and text[0].isalpha():
        return text.replace("-", "")  # "w-2" is "w2"
    dotted = text.replace(".", "")
    # "u.s." and "p.m." are one word; "node.js" keeps its dot.
    return dotted if len(dotted) <= 3 and all(len(part) == 1 for part in text.split(".")) else text
