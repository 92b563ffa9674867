"""Every Python block in README.md and docs/ runs as printed.

Blocks of one file share a namespace, in order, in an empty working directory. OPENAI_BASE_URL
points to `openai_server`, so the real clients run without a key and without a network. A block
marked `python no-run` is compiled, and its imports are carried out.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache
from openai_server import Upstream, upstream

from semcache_core.cache import SemanticCache
from semcache_core.protocols import Embedder

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```python(?P<mark>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)

_FENCE = re.compile(r"^\s*(?:```|~~~)\s*(?:python|py)\b", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block and where it stands."""

    page: Path
    line: int
    code: str
    run: bool

    @property
    def tree(self) -> ast.Module:
        """Its syntax, numbered as in the page, so that a traceback points there."""
        tree = ast.parse(self.code, str(self.page))
        return ast.increment_lineno(tree, self.line)

    def execute(self, namespace: dict[str, Any]) -> None:
        """Run it all, or its imports only."""
        tree = self.tree
        if not self.run:
            tree.body = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
        exec(compile(tree, str(self.page), "exec"), namespace)


def blocks(page: Path) -> list[Block]:
    """The Python blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["code"],
            run="no-run" not in found["mark"],
        )
        for found in _BLOCK.finditer(text)
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Upstream]:
    """Clients of OpenAI reach the server here; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    with upstream() as running:
        monkeypatch.setenv("OPENAI_API_KEY", "none-is-needed")
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
            monkeypatch.setenv(name, running.url)
        yield running
    set_llm_cache(None)


def execute(page: Path) -> None:
    """Run a page from top to bottom and release what its caches hold."""
    module = sys.modules["example"] = ModuleType("example")  # dataclasses look themselves up there
    namespace = vars(module)
    try:
        for block in blocks(page):
            block.execute(namespace)
    finally:
        del sys.modules["example"]
        for value in namespace.values():
            if isinstance(value, SemanticCache):
                value.close()


@pytest.mark.parametrize(
    "page", [page for page in PAGES[1:] if blocks(page)], ids=lambda page: page.name
)
def test_examples_run(page: Path, server: Upstream) -> None:
    """A page's examples run from top to bottom, and ask a model at least once."""
    execute(page)
    assert server.asked or not any("OpenAI" in block.code for block in blocks(page) if block.run)


def test_the_quickstart_does_what_its_comments_say(server: Upstream) -> None:
    """The README runs, and its rephrased questions are answered without asking the model."""
    execute(README)
    commented = re.compile(
        r'(?:invoke|complete)\("(?P<asked>[^"]+)"\).*# (?P<said>asks the model|from the cache)'
    )
    said = [found for block in blocks(README) for found in commented.finditer(block.code)]
    assert {found["said"] for found in said} == {"asks the model", "from the cache"}
    for found in said:
        assert (found["asked"] in server.asked) == (found["said"] == "asks the model")


_PAIRS = re.compile(
    r"^\| (?P<stored>[^|]+\?) \| (?P<asked>[^|]+\?) \| (?P<cosine>0\.\d+) \| (?P<said>[^|]+) \|$",
    re.MULTILINE,
)


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "index.md"], ids=lambda page: page.name)
def test_the_pairs_on_the_front_pages_are_decided_as_shown(page: Path, minilm: Embedder) -> None:
    """Each is a hit or a miss for the reason that is named, at the similarity that is shown."""
    shown = list(_PAIRS.finditer(page.read_text("utf-8")))
    assert len(shown) >= 3
    for pair in shown:
        with SemanticCache(embedder=minilm) as cache:
            cache.put(pair["stored"], "an answer")
            found = cache.explain(pair["asked"])
        (scored,) = found.survey.scored
        verdict = "hit" if found.outcome else f"miss: {found.outcome.detail.partition(':')[0]}"
        similarity = f"{scored.candidate.similarity:.3f}"
        assert (verdict, similarity) == (pair["said"], pair["cosine"])


def test_pages_have_no_other_python_fences() -> None:
    """A fence that the pattern does not see would never be run."""
    for page in PAGES:
        fences = re.findall(
            r"^\s*(?:```|~~~)\s*(?:python|py)\b", page.read_text("utf-8"), re.MULTILINE
        )
        assert len(fences) == len(blocks(page)), page


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("C*.md")], ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    """A file that was moved takes its links along."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [one for one in targets if not (page.parent / one).exists()] == []


def test_tests_that_pages_name_are_there() -> None:
    """A claim that links to a test links to one that exists, in that file."""
    named = [
        (page, name, page.parent / target)
        for page in PAGES
        for name, target in re.findall(r"\[`(test_\w+)`\]\(([^)#]+)\)", page.read_text("utf-8"))
    ]
    assert named
    missing = [
        f"{page.name}: {name} in {file}"
        for page, name, file in named
        if not re.search(rf"^\s*(?:async )?def {name}\(", file.read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_each_claim_of_the_comparison_has_a_test_or_says_no() -> None:
    """A feature is ours if a test shows it; where there is none, the line says that we lack it."""
    lines = (ROOT / "docs" / "comparison.md").read_text("utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    claims = [row for row in rows if row[0] not in ("feature", "---")]
    assert len(claims) > 80
    unproved = [row for row in claims if "[`test_" not in row[-1]]
    assert [row[0] for row in unproved if not re.match(r"no\b|.*not tested", row[1])] == []
