"""The page at `/`: live counts, and what a prompt would hit."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.responses import HTMLResponse


def page() -> HTMLResponse:
    """One file with all it needs; nothing it shows can become a part of it."""
    html, policy = _read()
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    return HTMLResponse(html, headers=headers)


@cache
def _read() -> tuple[str, str]:
    html = files("semcache_core.server").joinpath("page.html").read_text("utf-8")
    allowed = [f"{name}-src {_digest(html, tag)}" for name, tag in _TAGS.items()]
    rest = [
        "default-src 'none'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return html, "; ".join([*rest, *allowed, "frame-ancestors 'none'"])


_TAGS = {"script": "script", "style": "style"}


def _digest(html: str, tag: str) -> str:
    """The one script (or style) of the page, as a content security policy names it."""
    [inside] = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"
