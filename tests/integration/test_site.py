"""The documentation's site: built strictly, every page reachable, nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "tools" / "site_links.py"


@pytest.fixture(scope="module")
def hook() -> Any:
    """The hook that mkdocs runs for each page."""
    spec = importlib.util.spec_from_file_location("site_links", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(path: str) -> Any:
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


@pytest.mark.parametrize(
    ("where", "written", "shown"),
    [
        ("a.md", "[b](b.md#c)", "[b](b.md#c)"),
        ("a.md", "[out](https://example.org)", "[out](https://example.org)"),
        ("a.md", "[here](#c)", "[here](#c)"),
        ("a.md", "[tests](../tests/unit)", "tests (`tests/unit`)"),
        ("reference/a.md", "[up](../b.md)", "[up](../b.md)"),
        ("reference/a.md", "[`x`](../../tests/x.py)", "`x` (`tests/x.py`)"),
        ("a.md", "[`test_x`](../tests/x.py)", "`test_x`<br><small>tests/<wbr>x.py</small>"),
        ("a.md", "```\n[no](../x)\n```", "```\n[no](../x)\n```"),
    ],
)
def test_links_that_leave_the_pages_become_paths(
    hook: Any, monkeypatch: pytest.MonkeyPatch, where: str, written: str, shown: str
) -> None:
    """What the site does not hold is named by its path in the repository."""
    monkeypatch.delenv("SEMCACHE_REPOSITORY", raising=False)
    assert hook.on_page_markdown(written, page(where)) == shown


def test_links_lead_to_a_repository_that_is_named(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an address for the repository's files, they are links again."""
    monkeypatch.setenv("SEMCACHE_REPOSITORY", "https://example.org/blob/main/")
    shown = hook.on_page_markdown("[x](../tests/x.py)", page("a.md"))
    assert shown == "[x](https://example.org/blob/main/tests/x.py)"


def listed(nav: Any) -> list[str]:
    """The pages of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    children = nav.values() if isinstance(nav, dict) else nav
    return [one for child in children for one in listed(child)]


def test_the_navigation_is_complete() -> None:
    """Every page of docs/ is in it, once, and it names no other."""
    nav = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    docs = ROOT / "docs"
    assert sorted(nav) == sorted(str(one.relative_to(docs)) for one in docs.rglob("*.md"))


@pytest.mark.slow
def test_the_site_builds(tmp_path: Path) -> None:
    """A broken link, a missing anchor or an unknown name fails it; no page asks elsewhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    for html in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)\b[^>]*(?:src|href)="(https?:[^"]+)"', html.read_text("utf-8")
        )
        assert [one for one in loaded if "canonical" not in one] == [], html.name
