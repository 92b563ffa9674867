"""What stands in quotation marks is meant to the letter: "good morning", not "good evening"."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_QUOTED = re.compile(
    r"\"([^\"]{1,200})\"|\u201c([^\u201d]{1,200})\u201d|\u00ab([^\u00bb]{1,200})\u00bb"
    r"|(?<![^\s(])'([^']{1,200})'(?![^\s).,;:?!])"
)
_LONG = 2_000
_MARK = re.compile("[\"'\u201c\u00ab]")


def differ(pair: Pair) -> str:
    """The two quotations, if both texts quote and not the same."""
    a, b = _quoted(pair.a), _quoted(pair.b)
    if not a or not b or a == b:
        return ""
    return f"quoted: {_said(a - b)} / {_said(b - a)}"


def touched(text: Text) -> bool:
    """Whether it quotes."""
    return _MARK.search(text.raw) is not None and bool(_quoted(text))


def _said(quotes: frozenset[str]) -> str:
    return ", ".join(sorted(quote[:40] for quote in quotes)) or "none"


@noted
def _quoted(text: Text) -> frozenset[str]:
    if _MARK.search(text.raw) is None:
        return frozenset()
    found = (next(filter(None, match.groups())) for match in _QUOTED.finditer(text.raw[:_LONG]))
    return frozenset(" ".join(quote.lower().strip(" .,;!?").split()) for quote in found)
