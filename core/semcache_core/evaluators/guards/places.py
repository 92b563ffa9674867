"""Places: the same words in other places ask something else ("is 2 more than 1", and the reverse).

Looked at word for word, small words and numbers included, which `roles` leaves out.
"""

from __future__ import annotations

import re
from itertools import pairwise

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair, telegraphic
from semcache_core.evaluators.guards._stem import stem
from semcache_core.evaluators.guards._text import Text, noted

_TOKEN = re.compile(r"[\w'.]*\w")
_LONG = 400
"""Characters; a longer text is no single question."""
_COMMUTE = frozenset(
    ["plus", "times", "add", "added", "sum", "multiply", "multiplied", "product", "mix", "with"]
)
_ORDINALS = frozenset(["second", "third", "fourth", "fifth", "sixth", "tenth", "next"])
_DIGITS = {"1st": "first", "2nd": "second", "3rd": "third", "4th": "fourth", "5th": "fifth"}
_FIRST_TO_TENTH = _ORDINALS - {"next"} | {"first", "seventh", "eighth", "ninth"}
_RANKING = _ORDINALS | _FIRST_TO_TENTH | {"st", "nd", "rd", "th"}
"""Words, and how the ends of "2nd" and its like are cut off."""
_UNITS_BEFORE = frozenset({"per", "every", "each", "a", "one", "million"})
_AT = frozenset({"in", "at", "near", "around", "for", "of"})
_WHO = frozenset({"who", "whom"})
_WHICH = frozenset({"which", "what"})
WORDS = _RANKING | _WHO | _WHICH | {"here"}
_DO = frozenset({"do", "does", "did"})
_BE = frozenset(["is", "are", "was", "were", "am", "be", "been", "has", "have", "had", "'s"])
_MAY = frozenset(["can", "could", "will", "would", "should", "shall", "may", "might", "must"])
_NO_VERB = _DO | _BE | _MAY | {"not", "else", "all", "or"}


def differ(pair: Pair) -> str:
    """Two words exchanged, another rank, or who did it against to whom it was done."""
    return (
        _exchanged(pair) or _ranked(pair) or _numbered(pair) or _asked_for(pair) or _elsewhere(pair)
    )


def touched(text: Text) -> bool:
    """Whether it ranks, says here, or asks which or who; words change places in any text."""
    facts = (_ranks(text), _ordinals(text), "here" in text.every, _unhelped(text), _wanted(text))
    return any(facts)


def _elsewhere(pair: Pair) -> str:
    """Here in one text, a name behind "in" or "at" in the other."""
    for one, other, left in ((pair.a, pair.b, pair.left_b), (pair.b, pair.a, pair.left_a)):
        if "here" in one.every and "here" not in other.every and _AT & other.every:
            named = next((word.text for word in left if word.name or word.kinds), "")
            if named:
                return f"elsewhere: here / {named}"
    return ""


def _exchanged(pair: Pair) -> str:
    a, b = _tokens(pair.a), _tokens(pair.b)
    if pair.diff_a or pair.diff_b or len(a) != len(b) or a == b:
        return ""
    moved = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    if len(moved) != 2:
        return ""
    one, other = a[moved[0]], a[moved[1]]
    whose = one.endswith("'s") and other.endswith("'s")  # my mother's sister's name
    if moved[1] - moved[0] < 2 and not whose:
        return ""
    if (b[moved[0]], b[moved[1]]) != (other, one) or _in_any_order(a):
        return ""
    if (
        telegraphic(pair.a)
        and telegraphic(pair.b)
        and not _lexicon.labelled("orders.txt")["verbs"].isdisjoint({one, other})
    ):
        return ""
    return f"exchanged: {one} / {other}"


def _in_any_order(tokens: tuple[str, ...]) -> bool:
    symmetric = _lexicon.labelled("relations.txt")["symmetric"]
    return not (symmetric.isdisjoint(tokens) and _COMMUTE.isdisjoint(tokens))


def _ranked(pair: Pair) -> str:
    a, b = _ranks(pair.a), _ranks(pair.b)
    return f"rank differs: {_said(a)} / {_said(b)}" if a != b else ""


def _said(words: frozenset[str]) -> str:
    return " ".join(sorted(words)) or "none"


@noted
def _ranks(text: Text) -> frozenset[str]:
    """Ordinals before a superlative; "the third of May" is a date's matter."""
    if text.said.isdisjoint(_RANKING):
        return frozenset()
    tokens = _tokens(text)
    return frozenset(
        one
        for one, following in pairwise(_DIGITS.get(token, token) for token in tokens)
        if one in _ORDINALS and _superlative(following)
    )


def _numbered(pair: Pair) -> str:
    """The first of its kind in one text, the second in the other."""
    a, b = _ordinals(pair.a), _ordinals(pair.b)
    return f"ordinal differs: {_said(a)} / {_said(b)}" if a and b and a != b else ""


@noted
def _ordinals(text: Text) -> frozenset[str]:
    """Ordinals that stand before something; not the second that "per" and numbers count."""
    if text.said.isdisjoint(_RANKING):
        return frozenset()
    tokens = [_DIGITS.get(token, token) for token in _tokens(text)]
    return frozenset(
        one
        for before, one, _ in zip(["", *tokens], tokens, tokens[1:], strict=False)
        if one in _FIRST_TO_TENTH and not (before in _UNITS_BEFORE or before.isdigit())
    )


def _superlative(token: str) -> bool:
    return token in {"most", "least", "best", "worst"} or (token.endswith("est") and len(token) > 4)


def _asked_for(pair: Pair) -> str:
    """Who beat Germany is the winner, who Germany did beat the loser."""
    a, b = _unhelped(pair.a), _unhelped(pair.b)
    if a and b and a[0] == b[0] and a[1] != b[1]:
        return "asks for another: who did it / whom it was done to"
    if _wanted(pair.a) and _wanted(pair.b) and _wanted(pair.a) != _wanted(pair.b):
        return f"asks for another: {_wanted(pair.a)} / {_wanted(pair.b)}"
    return ""


@noted
def _unhelped(text: Text) -> tuple[tuple[str, ...], bool] | None:
    """The words of a "which" without "did", sorted, and whether it had one.

    "Which teams did Ajax beat" has the words of "which teams beat Ajax".
    """
    if text.said.isdisjoint(_WHICH):
        return None
    tokens = _tokens(text)
    if not tokens or tokens[0] not in _WHICH:
        return None
    rest = [stem(token) for token in tokens if token not in _DO]
    return tuple(sorted(rest)), len(rest) < len(tokens)


@noted
def _wanted(text: Text) -> str:
    if text.said.isdisjoint(_WHO):
        return ""
    tokens = _tokens(text)
    if len(tokens) < 3 or tokens[0] not in _WHO:
        return ""
    if tokens[1] in _DO:
        return "whom it was done to"
    return "" if tokens[1] in _NO_VERB else "who did it"


@noted
def _tokens(text: Text) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text.raw.lower())) if len(text.raw) <= _LONG else ()
