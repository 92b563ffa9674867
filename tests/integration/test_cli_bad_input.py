"""Every command on everything that a user can get wrong: a sentence, an exit code, no traceback."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from command_line import Ended, Shell, shell

from semcache_core.cache import SemanticCache
from semcache_core.cli._app import app
from semcache_core.embedders import HashEmbedder
from semcache_core.protocols import Embedder

__all__ = ["shell"]

PLACES = {
    "stats": ["{}"],
    "ls": ["{}"],
    "show": ["{}", "00"],
    "search": ["{}", "What?"],
    "explain": ["{}", "What?"],
    "export": ["{}"],
    "evict": ["{}", "--expired", "--yes"],
    "clear": ["{}", "--yes"],
    "doctor": ["{}"],
    "copy": ["{}", "{tmp}/copy"],
}
"""Commands that look into a cache that exists, and their arguments."""
FILES = {
    "warm": ["{tmp}/new", "{}"],
    "import": ["{tmp}/new", "{}"],
    "evaluate": ["{}"],
    "calibrate": ["{}"],
    "train": ["{}", "-o", "{tmp}/model"],
    "config check": ["{}"],
    "config from-gptcache": ["{}"],
}
"""Commands that read a file."""


def places(tmp: Path) -> dict[str, str]:
    """Paths that are no caches."""
    (tmp / "empty").mkdir()
    (tmp / "file").write_text("hello")
    (tmp / "binary").write_bytes(bytes(range(256)))
    for name, data in {"garbage": b"no database" * 500, "nothing": b""}.items():
        (tmp / name).mkdir()
        (tmp / name / "entries.sqlite3").write_bytes(data)
    sound = tmp / "cut"
    with SemanticCache(sound, embedder=HashEmbedder()) as cache:
        for number in range(200):
            cache.put(f"What is number {number}?", f"It is {number}." * 20)
    file = sound / "entries.sqlite3"
    file.write_bytes(file.read_bytes()[:20_000])
    for rest in ("-wal", "-shm"):
        (sound / f"entries.sqlite3{rest}").unlink(missing_ok=True)
    (tmp / "settings.yaml").write_text("treshold: 1\n")
    (tmp / "memory.yaml").write_text("threshold: 0.9\n")
    names = ["empty", "file", "binary", "garbage", "cut", "settings.yaml", "memory.yaml", "none"]
    found = {name: str(tmp / name) for name in names}
    found |= {"none.yaml": str(tmp / "none.yaml"), "nul": "a\0b", "no name": ""}
    found |= {"too long": "x" * 5000, "not a database": "mongodb://localhost/x"}
    found |= {"no file": f"sqlite:///{tmp}/none.sqlite3", "no url": "://"}
    return found


def files(tmp: Path) -> dict[str, str]:
    """Files that say nothing usable."""
    (tmp / "folder").mkdir()
    with sqlite3.connect(tmp / "other.db") as database:
        database.execute("CREATE TABLE t (x)")
    for name, data in {
        "empty.jsonl": b"",
        "empty.csv": b"",
        "blank.jsonl": b"\n\n",
        "binary.csv": bytes(range(256)),
        "binary.jsonl": b"\xff\xfe\x00",
        "text.jsonl": b"hello\n",
        "bad.jsonl": b'{"question": "a", "answer": "b"}\n{"question": \n',
        "list.jsonl": b"[1, 2, 3]\n",
        "number.jsonl": b"7\n",
        "deep.jsonl": b"[" * 100_000,
        "cut.db": b"SQLite format 3\0" + b"x" * 100,
        "bad.yaml": b"a: [1\n",
        "tag.yaml": b"a: !!python/object/apply:os.system ['true']\n",
        "list.yaml": b"- 1\n",
        "bomb.yaml": b"a: &a [1, 1]\nb: &b [*a, *a]\n",
        "twice.yaml": b"path: a\npath: b\n",
        "cut.jsonl.gz": b"\x1f\x8b\x08\x00",
        "header.csv": b"x,y\n1,2\n",
        "bad.json": b'{"a": 1,}',
    }.items():
        (tmp / name).write_bytes(data)
    found = {path.name: str(path) for path in sorted(tmp.iterdir())}
    return found | {"none": str(tmp / "none"), "nul": "a\0b", "no name": ""}


def says(ended: Ended) -> None:
    """A sentence for a person, and nothing that a program would take for a result."""
    assert ended.code in (2, 3), ended
    assert ended.err.strip()
    assert "Traceback" not in ended.err
    assert ended.out == ""


@pytest.fixture(scope="module")
def bad_places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Made once; no command may change them."""
    return places(tmp_path_factory.mktemp("places"))


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Likewise."""
    return files(tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("command", PLACES)
@pytest.mark.parametrize("json", [False, True], ids=["text", "json"])
def test_what_is_no_cache_is_named(
    command: str, json: bool, bad_places: dict[str, str], tmp_path: Path, shell: Shell
) -> None:
    """A path that is wrong ends with a sentence, whichever way it is wrong, and makes nothing."""
    for place in bad_places.values():
        arguments = [one.format(place, tmp=tmp_path) for one in PLACES[command]]
        ended = shell.run(command, *arguments, *(["--json"] if json else []))
        if command == "doctor" and ended.code == 1:  # it says of a damaged database that it is one
            assert "database" in ended.out
            continue
        says(ended)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", FILES)
def test_what_cannot_be_read_is_named(
    command: str, bad_files: dict[str, str], tmp_path: Path, shell: Shell
) -> None:
    """A file that is wrong ends with a sentence that names it, and leaves no cache behind."""
    for name, file in bad_files.items():
        if command.startswith("config") and name in ("empty.jsonl", "empty.csv", "blank.jsonl"):
            continue  # a configuration that sets nothing is one
        arguments = [one.format(file, tmp=tmp_path) for one in FILES[command]]
        ended = shell.run(*command.split(), *arguments)
        if command == "config from-gptcache" and ended.code == 1:
            assert "refused" in ended.err, name
            continue
        says(ended)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "line", "text"),
    [
        ("warm", 2, '{"question": "a", "answer": "b"}\n{"question": "c"}\n'),
        ("warm", 3, '{"question": "a", "answer": "b"}\n\n{"question": \n'),
        ("warm", 1, '{"question": "a", "answer": ""}\n'),
        ("warm", 1, '{"question": "a", "answer": "b", "ttl": "soon"}\n'),
        ("warm", 1, '{"question": "a", "answer": "b", "tokens": -1}\n'),
        ("import", 1, '{"semcache": 7, "values": {}}\n'),
        ("import", 2, '{"semcache": 1, "values": {}}\n{"key": "x"}\n'),
        ("import", 2, '{"semcache": 1, "values": {}}\n{"nonsense": 1}\n'),
        ("import", 3, '{"semcache": 1, "values": {}}\n\n{\n'),
        ("evaluate", 1, '{"query": "a", "stored": "b", "same": "perhaps"}\n'),
    ],
)
def test_a_bad_line_is_named_by_its_number(
    file: str, line: int, text: str, tmp_path: Path, shell: Shell
) -> None:
    """So that it can be found in a file of ten thousand."""
    source = tmp_path / "lines.jsonl"
    source.write_text(text)
    place = [] if file == "evaluate" else [tmp_path / "cache"]
    ended = shell.run(file, *place, source)
    assert f"lines.jsonl:{line}" in ended.err
    says(ended)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evict", "{cache}"], "say what is to go"),
        (["evict", "{cache}", "--older-than", "soon"], "older-than"),
        (["evict", "{cache}", "--max-bytes", "1XB"], "max-bytes"),
        (["evict", "{cache}", "--max-entries", "1", "--expired"], "go alone"),
        (["evict", "{cache}", "--max-entries", "1", "--rule", "mru"], "lru"),
        (["evict", "{cache}", "--max-entries", "-1"], "max-entries"),
        (["evict", "{cache}", "zz", "--yes"], "no entry has an id"),
        (["search", "{cache}", " "], "empty"),
        (["search", "{cache}", "x", "--threshold", "7"], "threshold"),
        (["search", "{cache}", "x", "--model-of", "nonsense"], "module:name"),
        (["search", "{cache}", "x", "--model-of", "no_such_module:x"], "no_such_module"),
        (["search", "{cache}", "x", "--model-of", "json:no_such_name"], "no_such_name"),
        (["search", "{cache}", "x", "--system", "be brief"], "--model-of"),
        (["export", "{cache}", "--json"], "--output"),
        (["export", "{cache}", "-o", "{tmp}/no/folder.jsonl"], "does not exist"),
        (["export", "{cache}", "-o", "{tmp}"], "a folder"),
        (["copy", "{cache}", "{cache}"], "same"),
        (["warm", "{cache}", "{pairs}", "--exact", "{"], "--exact"),
        (["warm", "{cache}", "{pairs}", "--system", "x"], "--model-of"),
        (["warm", "{cache}", "{pairs}", "--ttl", "x"], "--ttl"),
        (["warm", "{cache}", "{pairs}", "--question-column", "zz"], "question-column"),
        (["warm", "{cache}", "{pairs}", "--model-of", "json:dumps"], "no model"),
        (["warm", "{cache}", "{pairs}", "--model-of", "os:sep"], "function"),
        (["import", "{cache}", "{pairs}", "--from", "redis"], "gptcache"),
        (["calibrate", "{labels}", "--max-false-hit-rate", "3"], "max_false_hit_rate"),
        (["calibrate", "{labels}", "--confidence", "0"], "confidence"),
        (["evaluate", "{labels}", "--config", "{tmp}/none.yaml"], "none.yaml"),
        (["evaluate", "{labels}", "--min-precision", "3"], "min-precision"),
        (["train", "{labels}", "-o", "{tmp}/v.json"], "at least"),
        (["train", "{labels}", "-o", "{tmp}/v.json", "--held-out", "2"], "held_out"),
        (["config"], "check"),
    ],
)
def test_an_option_that_cannot_work_is_named(
    arguments: list[str], said: str, tmp_path: Path, shell: Shell, minilm: Embedder
) -> None:
    """The message names the option, and nothing has changed."""
    cache, pairs, labels = (tmp_path / name for name in ("cache", "pairs.csv", "labels.csv"))
    with SemanticCache(cache, embedder=minilm) as made:
        made.put("What is it?", "It.")
    pairs.write_text("question,answer\nWhat?,That.\n")
    labels.write_text("query,stored,same\na b,a b c,1\n")
    marks = {"cache": cache, "pairs": pairs, "labels": labels, "tmp": tmp_path}
    filled = [one if one == "{" else one.format(**marks) for one in arguments]
    ended = shell.run(*filled)
    assert said in f"{ended.err}{ended.out if arguments == ['config'] else ''}"
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err
    assert shell.told("stats", cache)["entries"] == 1


def test_every_command_is_covered() -> None:
    """A command that is added is tested here too."""
    tested = {*PLACES, *(name.split()[0] for name in FILES), "demo", "serve"}
    names = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    groups = {one.typer_instance.info.name for one in app.registered_groups}
    assert names | groups == tested


def test_an_interrupt_ends_quietly(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no error of the program's."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("semcache_core.cli._stats.opened", interrupted)
    assert shell.run("stats", "x").code == 130


def test_an_interrupt_while_the_command_line_loads_ends_quietly(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second goes into imports, and Ctrl-C in it is no traceback either."""

    class Loading:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "semcache_core.cli._app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "semcache_core.cli._app")
    monkeypatch.setattr(sys, "meta_path", [Loading(), *sys.meta_path])
    ended = shell.run("stats", "x")
    assert (ended.code, ended.err.strip()) == (130, "semcache: interrupted")


@pytest.mark.parametrize(
    ("command", "target", "again"),
    [
        (["import", "{tmp}/new", "{lines}"], "semcache_core.exchange.import_lines", "to go on"),
        (["copy", "{cache}", "{tmp}/new"], "semcache_core.copying.copy", "to go on"),
        (["export", "{cache}", "-o", "{tmp}/more"], "semcache_core.exchange.export_lines", "again"),
    ],
)
def test_an_interrupted_move_says_what_to_do(
    command: list[str],
    target: str,
    again: str,
    tmp_path: Path,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who stops a long command is told how far it came, and whether it can go on from there."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    marks = {"cache": tmp_path / "cache", "lines": tmp_path / "lines.jsonl", "tmp": tmp_path}
    with SemanticCache(marks["cache"], embedder=HashEmbedder()) as made:
        made.put("What is it?", "It.")
    shell("export", marks["cache"], "-o", marks["lines"])
    monkeypatch.setattr(target, interrupted)
    ended = shell.run(*(one.format(**marks) for one in command))
    assert ended.code == 130
    assert "stopped after" in ended.err
    assert again in ended.err
    assert not (tmp_path / "more").exists()


def test_a_question_like_nothing_stored_is_answered_with_words(
    shell: Shell, tmp_path: Path, minilm: Embedder
) -> None:
    """Silence would look like a command that did not work."""
    with SemanticCache(tmp_path / "cache", embedder=minilm) as cache:
        cache.put("How do I reset my password?", "By the link.")
    ended = shell("search", tmp_path / "cache", "Which volcano is the highest of all?")
    assert (ended.out, ended.err.strip()) == ("", "nothing found: nothing similar is stored")
    assert "window" in shell("search", tmp_path / "cache", "x" * 9_000).err


def test_a_question_without_end_is_not_printed_whole(
    shell: Shell, tmp_path: Path, minilm: Embedder
) -> None:
    """A file taken for a question does not flood the terminal."""
    with SemanticCache(tmp_path / "cache", embedder=minilm) as cache:
        cache.put("How do I reset my password?", "By the link.")
    ended = shell("explain", tmp_path / "cache", "x" * 100_000)
    assert "(100000 characters)" in " ".join(ended.out.split())
    assert len(ended.out) < 3_000


def test_labels_of_another_shape_are_told_what_is_needed(shell: Shell, tmp_path: Path) -> None:
    """Questions with answers, as `warm` takes them, are no labelled examples."""
    (tmp_path / "pairs.csv").write_text("question,answer\nWhat?,That.\n")
    said = shell.run("evaluate", tmp_path / "pairs.csv").err
    assert "pairs.csv:2" in said
    assert "query, stored and same" in said
    assert "question, answer" in said
    assert "No such file" in shell.run("evaluate", tmp_path / "none.csv").err


def test_completion_is_offered_for_shells(shell: Shell) -> None:
    """The help says how to install it."""
    assert "--install-completion" in shell("--help").out
