"""What the endpoints share when a stored answer is handed out again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")
_MOST = 64  # events of one text: a client renders it as it comes, and no faster for more


def pieces(text: str) -> Iterator[str]:
    """The text cut at word borders into at most 64 pieces; no text is no piece."""
    words = _WORDS.findall(text)
    step = -(-len(words) // _MOST) or 1
    for start in range(0, len(words), step):
        yield "".join(words[start : start + step])


def new_id(prefix: str) -> str:
    """An id that no answer had before: clients file answers by it."""
    return f"{prefix}{secrets.token_hex(12)}"


def total_tokens(answer: Mapping[str, Any]) -> int:
    """Tokens that the answer cost, as the upstream reported them; 0 when it did not."""
    usage = answer.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return total if isinstance(total, int) and total > 0 else 0
