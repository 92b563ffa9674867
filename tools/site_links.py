"""What `mkdocs build` needs beyond its plugins; named as a hook in mkdocs.yml.

Pages link to files of the repository (tests, notebooks) by relative paths, which work wherever the
Markdown is read. On the site they lead to SEMCACHE_REPOSITORY, the URL under which the files of a
branch are shown, and without one they become the files' paths.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import Any

# A link, wherever it leads but for anchors and other sites; the text may hold brackets in code.
LINK = re.compile(r"(?<!!)\[(?P<text>(?:`[^`]*`|[^\[\]])+)\]\((?P<to>(?!https?:|#)[^()\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, page: Any, **_more: Any) -> str:
    """Links that leave docs/ are turned into what works on the site."""
    folder = PurePosixPath("docs") / PurePosixPath(page.file.src_uri).parent
    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lambda found: _link(found, folder), part) for part in parts[::2]]
    return "".join(parts)


def _link(found: re.Match[str], folder: PurePosixPath) -> str:
    path = _normal(folder / found["to"])
    if path.parts[:1] == ("docs",):
        return found[0]
    base = os.environ.get("SEMCACHE_REPOSITORY", "").rstrip("/")
    if base:
        return f"[{found['text']}]({base}/{path})"
    if found["text"].startswith("`test_"):  # in columns of tables: small, and broken where it may
        return f"{found['text']}<br><small>{str(path).replace('/', '/<wbr>')}</small>"
    return f"{found['text']} (`{path}`)"


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)
