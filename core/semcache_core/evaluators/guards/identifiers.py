"""Identifiers, versions and operators: "CVE-2024-1", "h264", "my_table", "===": a sign matters."""

from __future__ import annotations

import re

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_IDENTIFIER = re.compile(r"(?=.*\d).*|\w*_\w+|[^\w\s]{2,}|[^\W\d_]+[+#]+|\S+@\S+", re.DOTALL)
_LONG = 200


def differ(pair: Pair) -> str:
    """The identifiers that only one of the texts has."""
    a, b = _identifiers(pair.a), _identifiers(pair.b)
    if a == b:
        return ""
    return f"identifiers differ: {_said(a - b)} / {_said(b - a)}"


@noted
def _identifiers(text: Text) -> frozenset[str]:
    return frozenset(_bare(word.text) for word in text.words if _is_identifier(word.text))


def _bare(word: str) -> str:
    """One form for "v2.10.0" and "2.10.0"."""
    return word.removeprefix("v") if word[-1].isdigit() else word


def _is_identifier(word: str) -> bool:
    if word.isalpha() or len(word) > _LONG:
        return False
    return _IDENTIFIER.fullmatch(word) is not None


def _said(words: frozenset[str]) -> str:
    return ", ".join(sorted(words)) or "none"
