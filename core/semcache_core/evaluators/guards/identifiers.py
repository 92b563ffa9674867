"""Identifiers, versions and operators: "CVE-2024-1", "h264", "my_table", "===": a sign matters."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_IDENTIFIER = re.compile(
    r"(?=.*\d).*|\w*_\w+|(?![!?.]+$)[^\w\s]{2,}|[^\W\d_]+[+#]+|\S+@\S+", re.DOTALL
)
_LONG = 200
_LOOKED_AT = 2_000


_FORMULA = re.compile(r"[=^]|[<>]\s*\d|\d\s*[+*\u00d7\u00f7<>]\s*[\da-z(]|\d\s+[-/]\s+\d")
_SIGN = re.compile(r"(?<=[\w)\s])[-+*/^=<>\u00d7\u00f7](?=[\s\w(])")
_ODD = re.compile(r"[-+*/^=<>\u00d7\u00f7\\]")
"""What formulas and escapes have, and few other texts."""
_ESCAPE = re.compile(r"\\[A-Za-z]")


def differ(pair: Pair) -> str:
    """The identifiers that only one of the texts has, or the signs of two formulas."""
    a, b = _identifiers(pair.a), _identifiers(pair.b)
    if a == b:
        return _signs_differ(pair)
    return f"identifiers differ: {_said(a - b)} / {_said(b - a)}"


def touched(text: Text) -> bool:
    """Whether it has an identifier, or a sign of a formula."""
    return not all(map(str.isalpha, text.every)) or _ODD.search(text.raw) is not None


def _signs_differ(pair: Pair) -> str:
    """As in "x^2 + 5x = 0" and "x^2 - 5x = 0", or in a regex, where `/b` is not `/B`."""
    a, b = _signs(pair.a), _signs(pair.b)
    if not a or not b or a == b:
        return ""
    return f"signs differ: {' '.join(a)} / {' '.join(b)}"


@noted
def _signs(text: Text) -> tuple[str, ...]:
    if _ODD.search(text.raw) is None:
        return ()
    raw = text.raw[:_LOOKED_AT]
    escapes = tuple(_ESCAPE.findall(raw))
    return escapes or (tuple(_SIGN.findall(raw)) if _FORMULA.search(raw) else ())


@noted
def _identifiers(text: Text) -> frozenset[str]:
    odd = [word.text for word in text.words if not word.text.isalpha()]
    return frozenset([_bare(word) for word in odd if _is_identifier(word)])


def _bare(word: str) -> str:
    """One form for "v2.10.0" and "2.10.0"."""
    return word.removeprefix("v") if word[-1].isdigit() else word


def _is_identifier(word: str) -> bool:
    return len(word) <= _LONG and _IDENTIFIER.fullmatch(word) is not None


def _said(words: frozenset[str]) -> str:
    return ", ".join(sorted(words)) or "none"
