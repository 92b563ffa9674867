"""Errors of other people's code as they may be logged: without the keys that some of them quote."""

from __future__ import annotations

import re

_KEPT = 600
_SECRETS = (
    (re.compile(r"\b((?:Bearer|Basic)\s+)[\w.~+/=-]{4,}", re.IGNORECASE), r"\1***"),
    (
        re.compile(
            r"""\b((?:x-)?(?:[\w-]*api[_-]?key|[\w-]*token|secret|password|authorization)["']?"""
            r"""\s*[:=]\s*["']?)(?!Bearer|Basic)[^\s"',;&)}\]]{4,}""",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|ghp|glpat|AKIA|AIza)[-_]?[\w-]{8,}"), "***"),
    (re.compile(r"(\w+://[^\s:/@]+:)[^\s@/]+@"), r"\1***@"),
    (re.compile(r"\bey[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "***"),
)


def redacted(error: BaseException) -> str:
    """The error's type and message, keys and passwords masked, at most some 600 characters."""
    text = str(error)
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    text = text if len(text) <= _KEPT else f"{text[:_KEPT]}..."
    return f"{type(error).__name__}: {text}"
