"""When a plain string is its own question, and how several texts make one."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_PIECES = 64
_TOKENS = re.compile(r"[^\W_]+|[^\w\s]|_")
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff\uf900-\ufaff]")
_PIECE = 8  # letters; longer words come apart, and an estimate on the high side is the safe one


_BREAK = "\u2029"  # Unicode's paragraph separator: white space to a tokenizer, and rare in texts


def joined(texts: Sequence[str]) -> str:
    """One question of several texts, which `parts` takes apart again."""
    return _BREAK.join(text.replace(_BREAK, "\n") for text in texts)


def parts(question: str) -> list[str]:
    """The texts that a question was made of; most are of one."""
    return question.split(_BREAK)


def pieces(text: str) -> int:
    """Word pieces of a text, estimated without a tokenizer: a CJK character is one each."""
    wide = len(_WIDE.findall(text))
    words = _TOKENS.findall(_WIDE.sub(" ", text))
    return wide + sum(-(-len(word) // _PIECE) for word in words)


def own_question(text: str) -> str | None:
    """The text if it can only be a question: one paragraph of at most 64 word pieces.

    Anything longer is likely a filled-in template whose instructions and context would drown the
    question in the embedding.
    """
    text = text.strip()
    if not text or "\n" in text or len(text) > MAX_PIECES * 32:
        return None
    return text if pieces(text) <= MAX_PIECES else None
