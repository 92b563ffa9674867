"""The command line on a real cache: what each command prints, as text and as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from openai_server import upstream
from typer.testing import CliRunner, Result

from semcache_core.cache import SemanticCache
from semcache_core.cli import main
from semcache_core.cli._app import app
from semcache_core.protocols import Embedder


def semcache(*arguments: object, given: str | None = None) -> Result:
    """Run a command in this process; it must end well."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=given)
    assert result.exit_code == 0, result.output
    return result


def told(*arguments: object) -> Any:
    """What a command says with --json."""
    return json.loads(semcache(*arguments, "--json").stdout)


@pytest.fixture
def folder(tmp_path: Path, minilm: Embedder) -> Path:
    """A cache with the answers of two tenants; those of one expired since."""
    path = tmp_path / "cache"
    with SemanticCache(path, embedder=minilm, namespace="shop") as cache:
        cache.put("How do I reset my password?", "Use the link.", tokens=12)
        cache.put("Where is [my] order?", {"state": "sent"}, tokens=7)
        assert cache.get("How can I reset my password?") == "Use the link."
    past = {"clock": lambda: time.time() - 86_400.0, "ttl": 60}
    with SemanticCache(path, embedder=minilm, namespace="bank", **past) as cache:
        cache.put("What is my balance?", "12.50", tokens=3)
    return path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in model answers without its realistic delay."""
    monkeypatch.setattr("langchain_semcache.demo.sleep", lambda seconds: None)


@pytest.mark.usefixtures("at_once")
def test_the_demo_serves_rephrasings_and_no_near_miss_and_persists(tmp_path: Path) -> None:
    """The first run has hits and not one false one; the second finds everything on disk."""
    path = tmp_path / "demo"
    first, again = told("demo", "--path", path), told("demo", "--path", path)
    assert first["found"] == 0
    assert first["totals"]["false_hits"] == 0
    assert first["totals"]["hits"] >= 10
    assert first["totals"]["near_misses"] == sum(bool(row["note"]) for row in first["rows"])
    assert first["totals"]["tokens_saved"] > 0
    assert first["totals"]["seconds_saved"] > 0
    assert again["found"] == first["totals"]["questions"] - first["totals"]["hits"]
    assert again["totals"]["hits"] == again["totals"]["questions"]
    assert [row["answer"] for row in again["rows"]] == [row["answer"] for row in first["rows"]]


@pytest.mark.usefixtures("at_once")
def test_the_demo_prints_each_question_and_can_forget(tmp_path: Path) -> None:
    """The table names the matched question and the reason of each miss; --fresh starts anew."""
    path = tmp_path / "demo"
    semcache("demo", "--path", path)
    shown = semcache("demo", "--path", path, "--fresh").output
    assert "0 answers found" in shown
    assert "like: How do I reset my password?" in shown
    assert "rejected by a guard" in shown
    assert "Run it once more" in shown
    assert "Run it once more" not in semcache("demo", "--path", path).output


def test_the_demo_asks_openai_when_there_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key and the package the real client is used, and only for misses."""
    with upstream() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "none-is-needed")
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
            monkeypatch.setenv(name, server.url)
        run = told("demo", "--path", tmp_path / "demo")
    totals = run["totals"]
    assert "gpt-4o-mini" in run["title"]
    assert len(server.asked) == totals["questions"] - totals["hits"]
    assert totals["tokens_spent"] == 30 * len(server.asked)
    assert totals["tokens_saved"] == 30 * totals["hits"]


def test_the_demo_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the adapter the message says what to install."""
    monkeypatch.setattr("semcache_core.demos.entry_points", lambda **_: ())
    assert exit_code("demo") == 3


def test_stats_add_up(folder: Path) -> None:
    """Entries, uses and tokens come from the record, for all or for one tenant."""
    everything = told("stats", folder)
    assert everything["entries"] == 3
    assert everything["expired"] == 1
    assert everything["namespaces"] == {"shop": 2, "bank": 1}
    assert everything["served"] == 1
    assert everything["tokens_saved"] == 12
    assert everything["oldest"] <= everything["newest"]
    assert told("stats", folder, "--namespace", "bank")["entries"] == 1
    shown = semcache("stats", folder).output
    assert "shop: 2, bank: 1" in shown
    assert "3 (1 expired)" in shown


def test_stats_of_an_empty_cache(folder: Path) -> None:
    """Nothing is divided by nothing."""
    assert told("stats", folder, "--namespace", "nobody")["oldest"] is None
    assert semcache("stats", folder, "--namespace", "nobody").output.startswith("entries")


def test_ls_orders_and_limits(folder: Path) -> None:
    """The most used, the newest or the oldest come first; brackets are no markup."""
    assert [one["question"] for one in told("ls", folder, "--sort", "uses", "-l", 1)] == [
        "How do I reset my password?"
    ]
    assert told("ls", folder)[0]["question"] == "Where is [my] order?"
    assert told("ls", folder, "--sort", "oldest")[0]["question"] == "What is my balance?"
    shown = semcache("ls", folder, "-n", "shop").output
    assert "Where is [my] order?" in shown
    assert "balance" not in shown


def test_show_gives_the_answer(folder: Path) -> None:
    """An entry is named by the beginning of its id."""
    (entry,) = told("ls", folder, "-n", "bank")
    shown = told("show", folder, entry["id"][:10])
    assert shown["answer"] == "12.50"
    assert shown | {"answer": None} == entry | {"answer": None}
    text = semcache("show", folder, entry["id"]).output
    assert "12.50" in text
    assert "ago" in text


def test_explain_shows_what_would_be_served(folder: Path) -> None:
    """Each scope is looked at: a hit with its similarity in one, nothing in the other."""
    found = told("explain", folder, "How could I reset my password?")
    hits = [one for one in found if one["hit"]]
    assert [one["namespace"] for one in hits] == ["shop"]
    best = hits[0]["candidates"][0]
    assert best["question"] == "How do I reset my password?"
    assert 0.8 < best["similarity"] <= 1
    assert {part["by"] for part in best["parts"]}
    shown = semcache("explain", folder, "How could I reset my password?", "-n", "shop").output
    assert "HIT" in shown
    assert semcache("explain", folder, "x", "--scopes", 1).output.count("model:") == 1
    assert "nothing here" in semcache("explain", folder, "x", "--namespace", "nobody").output


def test_explain_changes_nothing(folder: Path) -> None:
    """Looking is not a use."""
    before = told("ls", folder)
    semcache("explain", folder, "How could I reset my password?")
    assert told("ls", folder) == before


def test_a_database_is_named_by_its_url(folder: Path) -> None:
    """A cache whose record is elsewhere is reached as its users reach it."""
    url = f"sqlite:///{folder}/entries.sqlite3"
    assert told("stats", url) == told("stats", folder)
    assert any(one["hit"] for one in told("explain", url, "How could I reset my password?"))


def test_clear_asks_first_and_can_be_limited(folder: Path) -> None:
    """Without --yes a no deletes nothing; a namespace leaves the others alone."""
    refused = CliRunner().invoke(app, ["clear", str(folder)], input="n\n")
    assert refused.exit_code == 1
    assert told("stats", folder)["entries"] == 3
    assert told("clear", folder, "--namespace", "bank", "--yes") == {"deleted": 1}
    assert "2 entries deleted" in semcache("clear", folder, given="y\n").output
    assert told("stats", folder)["entries"] == 0


def exit_code(*arguments: str) -> int:
    """How the console script ends."""
    before, sys.argv = sys.argv, ["semcache", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["stats", "{tmp}/none"], 2, "there is no cache at"),
        (["ls", "mongodb://x"], 2, "mongodb"),
        (["show", "{cache}", "zz"], 2, "no entry has an id"),
        (["show", "{cache}", ""], 2, "3 entries have an id"),
        (["explain", "{cache}", "x", "--threshold", "7"], 2, "threshold"),
        (["explain", "{cache}", "x", "--embedder", "{tmp}/none"], 2, "embedder"),
        (["ls", "{cache}", "--limit", "0"], 2, "limit"),
        (["ls", "{cache}", "--sort", "size"], 2, "recent"),
        (["ls"], 2, "PATH"),
        (["frobnicate"], 2, "No such command"),
        (["ls", "{tmp}/broken"], 3, "damaged"),
    ],
)
def test_a_mistake_ends_with_a_sentence(
    arguments: list[str],
    code: int,
    said: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit code says whose fault it is; no traceback, nothing on standard output."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "entries.sqlite3").write_bytes(b"this is no database" * 100)
    places = {"{tmp}": str(tmp_path), "{cache}": str(folder)}
    for mark, place in places.items():
        arguments = [one.replace(mark, place) for one in arguments]
    assert exit_code(*arguments) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The way in for somebody who knows nothing."""
    assert exit_code("--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("demo", "stats", "ls", "show", "explain", "clear"))
