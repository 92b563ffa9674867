"""Filling, moving, measuring and mending caches from the command line, on real caches."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Shell, shell
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGeneration
from langchain_models import Counting

from langchain_semcache import SemanticCache as LangChainCache
from langchain_semcache import cached
from semcache_core.cache import SemanticCache
from semcache_core.entries.tables import tables
from semcache_core.protocols import Embedder
from semcache_core.store.opening import open_record

__all__ = ["shell"]
TABLE = tables(None).entries.name

FAQ = {
    "How do I reset my password?": "Use the link.",
    "Where is my order?": "On its way.",
    "What are your opening hours?": "Nine to five.",
}
PROGRAM = """
from langchain_core.prompts import ChatPromptTemplate
from langchain_models import Counting

model = Counting()
chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")]) | model

def ask(question):
    return chain.invoke({"question": question})
"""


@pytest.fixture
def folder(tmp_path: Path, minilm: Embedder) -> Path:
    """A cache with two tenants' answers, one of them used twice, one that is exact only."""
    path = tmp_path / "cache"
    with SemanticCache(path, embedder=minilm, namespace="shop") as cache:
        for question, answer in FAQ.items():
            cache.put(question, answer, tokens=7)
        cache.put("x " * 2000, "Too long to be found by meaning.")
        for _ in range(2):
            assert cache.get("How can I reset my password?") == "Use the link."
        hit = cache.find(cache.prompt("json", None, "Where's my order?"), _json())
        cache.report_wrong(hit)  # type: ignore[arg-type]  # a hit, as the next line shows
        assert hit
    with SemanticCache(path, embedder=minilm, namespace="bank", ttl=3600) as cache:
        cache.put("What is my balance?", {"sum": 12.5})
    return path


def _json() -> Any:
    from semcache_core.codecs import JSON

    return JSON


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's program, importable by its name."""
    name = f"program_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def faq(tmp_path: Path) -> Path:
    """Questions and answers as CSV."""
    file = tmp_path / "faq.csv"
    lines = [f'"{question}","{answer}",9' for question, answer in FAQ.items()]
    file.write_text("\n".join(["Question,Answer,tokens", *lines]))
    return file


def rows(path: Path) -> list[Any]:
    """Everything in a record, but for the order of changes."""
    record = open_record(path)
    try:
        return sorted(
            (
                *(e.key, e.scope, e.namespace, e.payload, e.created, e.query, e.turns, e.model),
                *(e.expires, e.last_used, e.uses, e.tokens),
                None if e.vector is None else e.vector.tobytes(),
            )
            for e in record.entries()
        )
    finally:
        record.close()


# -- export, import, copy ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_export_and_import_give_an_identical_cache(
    name: str, folder: Path, tmp_path: Path, shell: Shell, minilm: Embedder
) -> None:
    """Rows, hits, uses, and reported pairs are the same; doing it again changes nothing."""
    assert shell.told("export", folder, "-o", tmp_path / name)["exported"] == 5
    assert shell.told("import", tmp_path / "new", tmp_path / name)["stored"] == 5
    assert shell.told("import", tmp_path / "new", tmp_path / name)["present"] == 5
    assert rows(tmp_path / "new") == rows(folder)
    before, after = (shell.told("stats", one) for one in (folder, tmp_path / "new"))
    assert before == after
    assert before["served"] >= 2
    with SemanticCache(tmp_path / "new", embedder=minilm, namespace="shop") as cache:
        assert cache.get("How can I reset my password?") == "Use the link."
        assert cache.get("Where's my order?") is None, "it was reported wrong"


def test_export_goes_to_a_pipe_and_one_tenant(folder: Path, shell: Shell) -> None:
    """Standard output holds the lines and nothing else."""
    lines = [json.loads(line) for line in shell("export", folder, "-n", "bank").out.splitlines()]
    assert lines[0]["semcache"] == 1
    assert [line["query"] for line in lines[1:]] == ["What is my balance?"]


def test_an_export_does_not_replace_a_file_unasked(
    folder: Path, tmp_path: Path, shell: Shell
) -> None:
    """And leaves no half of one behind."""
    (tmp_path / "out.jsonl").write_text("precious")
    assert shell.run("export", folder, "-o", tmp_path / "out.jsonl").code == 2
    assert (tmp_path / "out.jsonl").read_text() == "precious"
    shell("export", folder, "-o", tmp_path / "out.jsonl", "--force")
    assert list(tmp_path.glob("*.part")) == []


def test_bad_lines_can_be_skipped(folder: Path, tmp_path: Path, shell: Shell) -> None:
    """They are counted, the first one is named, and the exit code says so."""
    shell("export", folder, "-o", tmp_path / "all.jsonl")
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    damaged = json.loads(lines[1])
    damaged["payload"] = damaged["payload"][:-1] + "X"
    wrong = json.loads(lines[2]) | {"vector": "AAAA"}
    (tmp_path / "bad.jsonl").write_text(
        "\n".join([lines[0], json.dumps(damaged), json.dumps(wrong), *lines[3:], "{"])
    )
    ended = shell.run("import", tmp_path / "new", tmp_path / "bad.jsonl", "--skip-bad", "--json")
    assert ended.code == 1
    assert (ended.told["stored"], ended.told["skipped"]) == (3, 3)
    assert "bad.jsonl:2" in ended.told["why"]


def test_another_embedders_vectors_are_not_mixed_in(
    folder: Path, tmp_path: Path, shell: Shell
) -> None:
    """They would be compared with what they cannot be compared with."""
    shell("export", folder, "-o", tmp_path / "all.jsonl")
    text = (tmp_path / "all.jsonl").read_text()
    head = json.loads(text.splitlines()[0])
    head["values"]["embedder"] = "another"
    (tmp_path / "all.jsonl").write_text("\n".join([json.dumps(head), *text.splitlines()[1:]]))
    ended = shell.run("import", folder, tmp_path / "all.jsonl")
    assert ended.code == 2
    assert "another" in ended.err


def test_copy_makes_the_same_cache(folder: Path, tmp_path: Path, shell: Shell) -> None:
    """To a folder or a database, and again without writing twice."""
    url = f"sqlite:///{tmp_path}/copy.sqlite3"
    assert shell.told("copy", folder, url)["copied"] == 5
    assert shell.told("copy", folder, url) == {"total": 5, "copied": 0, "present": 5, "expired": 0}
    assert "5 entries copied" in shell("copy", url, tmp_path / "back").out
    assert rows(tmp_path / "back") == rows(folder)


def test_langchains_sqlite_cache_is_imported_for_the_same_calls(
    tmp_path: Path, shell: Shell
) -> None:
    """A call that hit there hits here, reworded too; chat and plain prompts, damaged rows apart."""
    model = Counting()
    llm_string = model._get_llm_string()
    message = HumanMessage("How do I reset my password?")
    prompt = dumps([message])
    said = model.invoke([message])
    responses = [dumps(ChatGeneration(message=said)), '{"nonsense": 1}']
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.execute(
            "CREATE TABLE full_llm_cache (prompt TEXT, llm TEXT, idx INTEGER, response TEXT)"
        )
        old.execute(
            "INSERT INTO full_llm_cache VALUES (?, ?, 0, ?)", (prompt, llm_string, responses[0])
        )
        old.execute("INSERT INTO full_llm_cache VALUES ('x', 'y', 0, ?)", (responses[1],))
    told = shell.told("import", tmp_path / "new", tmp_path / "old.db")
    assert (told["prompts"], told["stored"]) == (2, 1)
    assert "stored: 0" in shell("import", tmp_path / "new", tmp_path / "old.db").out
    with LangChainCache(tmp_path / "new") as cache:
        set_llm_cache(cache)
        try:
            hit = model.invoke("How can I reset my password?")
        finally:
            set_llm_cache(None)
        assert hit.content == said.content
        assert hit.response_metadata["semcache"]["hit"] == "semantic"


def gptcache(path: Path) -> Path:
    """A file as GPTCache 0.1.44 writes it."""
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE gptcache_question (id INTEGER PRIMARY KEY, question VARCHAR, create_on"
            " DATETIME, last_access DATETIME, embedding_data BLOB, deleted INTEGER)"
        )
        old.execute(
            "CREATE TABLE gptcache_answer (id INTEGER PRIMARY KEY, question_id INTEGER, answer"
            " VARCHAR, answer_type INTEGER)"
        )
        for number, (question, answer) in enumerate([*FAQ.items(), ("Gone?", "Yes.")], 1):
            deleted = -1 if question == "Gone?" else 0
            old.execute(
                "INSERT INTO gptcache_question VALUES (?, ?, NULL, NULL, x'00', ?)",
                (number, question, deleted),
            )
            old.execute("INSERT INTO gptcache_answer VALUES (?, ?, ?, 0)", (number, number, answer))
        old.execute("INSERT INTO gptcache_answer VALUES (99, 1, 'Newer.', 0)")
        old.execute("INSERT INTO gptcache_answer VALUES (98, 2, 'image', 1)")
    return path


@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
def test_gptcaches_answers_are_imported(
    whole: bool, tmp_path: Path, shell: Shell, program: str, minilm: Embedder
) -> None:
    """For `get`, or for a program's calls; deleted ones stay behind, the newest answer wins."""
    file = gptcache(tmp_path / "sqlite.db")
    source = tmp_path if whole else file
    assert shell.told("import", tmp_path / "plain", source)["stored"] == 3
    with SemanticCache(tmp_path / "plain", embedder=minilm) as cache:
        assert cache.get("How can I reset my password?") == "Newer."
        assert cache.get("Where is my order?") == "On its way."
    told = shell.told("import", tmp_path / "calls", file, "--model-of", f"{program}:chain")
    assert told["stored"] == 3
    assert shell.told("ls", tmp_path / "calls")[0]["model"]


def test_gptcaches_pickle_is_not_read(tmp_path: Path, shell: Shell) -> None:
    """It could run any code."""
    (tmp_path / "data_map.txt").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    ended = shell.run("import", tmp_path / "new", tmp_path, "--from", "gptcache")
    assert ended.code == 2
    assert "pickle" in ended.err
    assert not (tmp_path / "owned").exists()


# -- warm, search, evict -------------------------------------------------------------------------


def test_warming_makes_a_programs_first_calls_hit(
    tmp_path: Path, faq: Path, program: str, shell: Shell
) -> None:
    """Through the chain, through a function, and for twins; no model is asked for it."""
    assert shell.told("warm", "cache", faq, "--model-of", f"{program}:chain")["stored"] == 3
    assert shell.told("warm", "cache", faq, "--model-of", f"{program}:ask")["present"] == 3
    module = sys.modules[program]
    assert module.model.calls == 0
    with LangChainCache(tmp_path / "cache") as cache:
        set_llm_cache(cache)
        try:
            assert module.ask("How can I reset my password?").content == "Use the link."
        finally:
            set_llm_cache(None)
        twin = cached(module.model, cache)
        chain = module.chain.first | twin
        assert chain.invoke({"question": "Where's my order?"}).content == "On its way."
    assert module.model.calls == 0


def test_warming_without_a_program_answers_get(
    tmp_path: Path, faq: Path, shell: Shell, minilm: Embedder
) -> None:
    """With what must match given as JSON; tokens and ttl are kept."""
    ended = shell("warm", tmp_path / "c", faq, "--exact", '{"user": 1}', "--ttl", "1d")
    assert "3 stored" in ended.out
    assert "--model-of" in ended.err
    with SemanticCache(tmp_path / "c", embedder=minilm) as cache:
        assert cache.get("How can I reset my password?", exact={"user": 1}) == "Use the link."
        assert cache.get("How can I reset my password?") is None
    (entry,) = shell.told("ls", tmp_path / "c", "-l", 1)
    assert entry["tokens"] == 9
    assert 86_000 < entry["expires"] - time.time() < 87_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"question": "Q?", "answer": "A."}\n["Q2?", "A2."]\n'),
        ("a.json", '[{"q": "Q?", "a": "A."}, {"prompt": "Q2?", "response": "A2."}]'),
        ("b.json", '{"Q?": "A.", "Q2?": "A2."}'),
        ("a.tsv", "input\toutput\nQ?\tA.\nQ2?\tA2.\n"),
        ("a.csv", '\ufeffquery,completion,other\nQ?,A.,1\nQ2?,"A2.",2\n'),
    ],
)
def test_pairs_come_in_many_forms(name: str, text: str, tmp_path: Path, shell: Shell) -> None:
    """Whatever people keep questions and answers in, gzipped or not."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert shell.told("warm", tmp_path / "c", tmp_path / name)["stored"] == 2
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert shell.told("warm", tmp_path / "c", tmp_path / f"{name}.gz")["present"] == 2


def test_columns_can_be_named(tmp_path: Path, shell: Shell) -> None:
    """Where they are called something else."""
    (tmp_path / "x.csv").write_text("frage,antwort\nWas?,Das.\n")
    told = shell.told(
        "warm", tmp_path / "c", tmp_path / "x.csv",
        "--question-column", "frage", "--answer-column", "antwort",
    )  # fmt: skip
    assert told["stored"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_warming_that_was_killed_goes_on(ending: int, tmp_path: Path, shell: Shell) -> None:
    """What was committed stays, nothing is stored twice, and the rest follows."""
    pairs = [
        [f"What does article {n} of chapter {n % 7} say?", f"It says {n}."] for n in range(900)
    ]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    command = [sys.executable, "-c", "from semcache_core.cli import main; main()"]
    arguments = ["warm", str(tmp_path / "c"), str(tmp_path / "pairs.json")]
    running = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    while running.poll() is None and _count(tmp_path / "c") == 0:
        time.sleep(0.05)
    running.send_signal(ending)
    _, said = running.communicate(timeout=60)
    assert "Traceback" not in said
    if ending == signal.SIGINT:
        assert running.returncode == 130
        assert "again" in said
    done = _count(tmp_path / "c")
    assert 0 < done < 900
    told = shell.told(*arguments)
    assert (told["stored"], told["present"]) == (900 - done, done)
    assert _count(tmp_path / "c") == 900


def _count(path: Path) -> int:
    """Entries that another process would see."""
    try:
        with sqlite3.connect(f"file:{path}/entries.sqlite3?mode=ro", uri=True) as record:
            count: int = record.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0]
            return count
    except sqlite3.Error:
        return 0


def test_search_looks_everywhere_and_says_why(
    folder: Path, tmp_path: Path, shell: Shell, program: str, faq: Path
) -> None:
    """The served one first, over all scopes, or only in that of a program's calls."""
    found = shell.told("search", folder, "How could I reset my password?")
    assert found["hit"]
    assert found["found"][0]["answer"] == "Use the link."
    assert "threshold" in found["found"][0]["why"]
    shown = shell("search", folder, "How could I reset my password?").out
    assert "HIT" in shown
    shell("warm", folder, faq, "--model-of", f"{program}:chain")
    narrow = shell.told(
        "search", folder, "Where is my order now?", "--model-of", f"{program}:chain"
    )
    assert len({one["scope"] for one in narrow["found"]}) == 1
    exact = shell.told("search", folder, "Where is my order?", "--model-of", f"{program}:chain")
    assert exact["found"][0]["why"] == "the same prompt"
    explained = shell("explain", folder, "Where is my order?", "--model-of", f"{program}:chain")
    assert "HIT (exact)" in explained.out
    assert "found by meaning" in shell("search", folder, "x", "-n", "nobody").err


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--older-than", "1h"], 5),
        (["--older-than", "0s"], 0),
        (["--unused-for", "0s", "--namespace", "bank"], 4),
        (["--model", "none"], 5),
        (["--expired"], 5),
        (["--max-entries", "2"], 2),
        (["--max-entries", "0"], 0),
        (["--max-entries", "4", "--rule", "lfu"], 4),
        (["--max-bytes", "1B"], 0),
        (["--max-bytes", "1GB"], 5),
    ],
)
def test_evict_deletes_what_was_said(
    options: list[str], left: int, folder: Path, shell: Shell
) -> None:
    """A dry run says as much, and deletes nothing."""
    time.sleep(0.01)
    planned = shell.told("evict", folder, *options, "--dry-run")
    assert (planned["deleted"], len(planned["ids"])) == (0, 5 - left)
    assert shell.told("stats", folder)["entries"] == 5
    assert shell.told("evict", folder, *options, "--yes")["deleted"] == 5 - left
    assert shell.told("stats", folder)["entries"] == left


def test_evict_takes_ids_and_keeps_what_is_used_most(folder: Path, shell: Shell) -> None:
    """The beginning of an id is enough; "lfu" leaves the one that was served."""
    entries = shell.told("ls", folder, "--sort", "uses")
    assert shell.told("evict", folder, entries[-1]["id"][:12], "--yes")["deleted"] == 1
    shell("evict", folder, "--max-entries", 1, "--rule", "lfu", "--yes")
    assert [one["id"] for one in shell.told("ls", folder)] == [entries[0]["id"]]


# -- evaluate, calibrate, train ------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs whose labels anybody would give."""
    things = ["password", "order", "invoice", "address", "parcel", "ticket", "refund", "profile"]
    rows_ = []
    for one in things:
        rows_ += [(f"How do I change my {one}?", f"How can I change my {one}?", 1)]
        rows_ += [(f"Where can I find my {one}?", f"Where do I find my {one}?", 1)]
        rows_ += [(f"How do I change my {one}?", f"How do I delete my {one}?", 0)]
        rows_ += [(f"What does my {one} cost?", f"What does my {one} weigh?", 0)]
    file = tmp_path_factory.mktemp("labels") / "pairs.jsonl"
    told = [json.dumps(dict(zip(("query", "stored", "same"), row, strict=True))) for row in rows_]
    file.write_text("\n".join(told))
    return file


def test_evaluate_measures_and_can_fail_a_build(labelled: Path, shell: Shell) -> None:
    """The figures as JSON and as text; a gate that is not passed is exit code 1."""
    report = shell.told("evaluate", labelled)
    assert report["hit_rate"]["part"] > 8
    assert report["precision"]["value"] > 0.5
    picture = labelled.with_name("curve.png")
    said = shell("evaluate", labelled, "--threshold", 0.9, "--plot", picture).out
    assert "false-hit rate" in said
    assert "at a hit rate of" in said
    assert picture.read_bytes().startswith(b"\x89PNG")
    gated = shell.run("evaluate", labelled, "--min-hit-rate", 0.99)
    assert gated.code == 1
    assert "below" in gated.err
    assert shell.run("evaluate", labelled, "--min-precision", 0.1).code == 0


def test_calibrate_takes_a_shadow_caches_folder(
    tmp_path: Path, shell: Shell, minilm: Embedder
) -> None:
    """The labels in its record, of which `evaluate` has the curve; one without any is refused."""
    folder = tmp_path / "shadow"
    with SemanticCache(folder, embedder=minilm, shadow=True) as cache:
        for one in ("password", "address", "order"):
            for question in (f"How do I change my {one}?", f"How can I change my {one}?"):
                assert cache.get(question) is None
                cache.put(question, f"In the settings of your {one}.")
        cache.flush()
        count = len(cache.labels())
    assert count > 0
    told = json.loads(shell.run("calibrate", folder, "--max-false-hit-rate", 0.3, "--json").out)
    assert told["scores_of"]["embedder"] == minilm.identity
    assert told["labels"] == count
    with SemanticCache(tmp_path / "new", embedder=minilm) as cache:
        cache.put("a", "b")
    assert "shadow=True keeps them" in shell.run("calibrate", tmp_path / "new").err
    report = shell.told("evaluate", folder, "--plot", tmp_path / "curve.png")
    assert (report["source"], report["lookups"]) == ("labels", count)
    assert report["curve"]["hit_rate"][-1] == 1.0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "shadow=True keeps them" in shell.run("evaluate", tmp_path / "new").err


def test_calibrate_saves_a_policy_that_a_configuration_names(
    labelled: Path, tmp_path: Path, shell: Shell, minilm: Embedder
) -> None:
    """Certified, saved and used; with too few labels nothing is, and it is said what is missing."""
    few = shell.run("calibrate", labelled, "--max-false-hit-rate", 0.01, "-o", tmp_path / "p.json")
    assert few.code == 1
    assert "cannot certify" in few.out
    assert not (tmp_path / "p.json").exists()
    pairs = [json.loads(line) for line in labelled.read_text().splitlines()]
    many = [
        {
            **pair,
            "query": pair["query"].replace("my", f"my {word}"),
            "stored": pair["stored"].replace("my", f"my {word}"),
        }
        for pair in pairs
        for word in ("old", "new", "first", "last", "other", "second")
        if pair["same"]
    ]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, many)))
    budget = ["--max-false-hit-rate", 0.3, "--confidence", 0.8]
    ended = shell("calibrate", tmp_path / "many.jsonl", *budget, "-o", tmp_path / "p.json")
    assert "certified" in ended.out
    assert shell.told("calibrate", tmp_path / "many.jsonl", *budget)["certified"]
    (tmp_path / "cache.yaml").write_text("policy: {kind: saved, file: p.json}\n")
    with SemanticCache.from_config(tmp_path / "cache.yaml") as cache:
        cache.put("How do I change my password?", "So.")
        assert cache.get("How can I change my password?") == "So."


def test_train_writes_an_evaluator_that_a_configuration_names(
    labelled: Path, tmp_path: Path, shell: Shell
) -> None:
    """Measured on pairs kept back, before and after."""
    told = shell.told("train", labelled, "-o", tmp_path / "v.json", "--held-out", 0.3)
    assert told["learnt_from"] > 10
    assert told["before"]["lookups"] == told["after"]["lookups"]
    shown = shell("train", labelled, "-o", tmp_path / "v.json").out
    settings = yaml.safe_load(shown.replace("\n", "").partition("use it: ")[2])
    assert settings["evaluator"]["evaluator"]["kind"] == "verifier"
    with SemanticCache.from_config(
        {"evaluator": {"kind": "verifier", "coefficients": str(tmp_path / "v.json")}}
    ) as cache:
        cache.put("How do I change my password?", "So.")
        assert cache.get("How do I change my password?") == "So."


# -- doctor --------------------------------------------------------------------------------------


def checks(shell: Shell, *arguments: object) -> tuple[int, dict[str, str]]:
    """The exit code, and the level of each check (the worst, if there are several)."""
    ended = shell.run("doctor", *arguments, "--json")
    order = ["ok", "note", "mended", "warning", "error"]
    found: dict[str, str] = {}
    for one in ended.told["findings"]:
        if one["check"] != "disk":  # the machine's, and not the cache's
            worst = max((found.get(one["check"], "ok"), one["level"]), key=order.index)
            found[one["check"]] = worst
    return ended.code, found


def test_a_sound_cache_is_sound(folder: Path, shell: Shell) -> None:
    """Nothing is changed by looking."""
    before = rows(folder)
    _, found = checks(shell, folder)
    assert set(found.values()) <= {"ok"}, found
    assert rows(folder) == before
    assert "whole" in shell.run("doctor", folder).out
    url = f"sqlite:///{folder}/entries.sqlite3"
    assert set(checks(shell, url)[1].values()) <= {"ok"}


def test_damaged_entries_are_found_and_deleted(folder: Path, shell: Shell) -> None:
    """A payload that does not fit its checksum, a vector that is none; only --repair deletes."""
    with sqlite3.connect(folder / "entries.sqlite3") as record:
        keys = [key for (key,) in record.execute(f"SELECT key FROM {TABLE} WHERE vector NOT NULL")]
        record.execute(f"UPDATE {TABLE} SET payload = x'00' WHERE key = ?", (keys[0],))
        record.execute(
            f"UPDATE {TABLE} SET vector = zeroblob(length(vector)) WHERE key = ?", (keys[1],)
        )
    code, found = checks(shell, folder)
    assert (code, found["entries"]) == (1, "error")
    assert shell.told("stats", folder)["entries"] == 5
    assert checks(shell, folder, "--repair")[1]["entries"] == "mended"
    assert shell.told("stats", folder)["entries"] == 3
    assert checks(shell, folder)[1]["entries"] == "ok"


def test_a_damaged_database_is_set_aside_and_saved(
    tmp_path: Path, shell: Shell, minilm: Embedder
) -> None:
    """What can be read is kept, and the old file too."""
    folder = tmp_path / "cache"
    with SemanticCache(folder, embedder=minilm) as cache:
        for number in range(100):
            cache.put(f"What is number {number}?", f"It is {number}. " * 50)
    file = folder / "entries.sqlite3"
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = os.urandom(4096)
    file.write_bytes(data)
    code, found = checks(shell, folder)
    assert (code, found["database"]) == (1, "error")
    assert checks(shell, folder, "--repair")[1]["database"] == "mended"
    assert shell.told("stats", folder)["entries"] > 20
    assert list(folder.glob("*.damaged-*"))
    assert checks(shell, folder)[1]["files"] == "note"


def test_another_embedder_is_told_apart(folder: Path, shell: Shell, tmp_path: Path) -> None:
    """The one that is named has to be the one that filled it."""
    assert checks(shell, folder)[1]["embedder"] == "ok"
    assert checks(shell, folder, "--embedder", tmp_path / "none")[1]["embedder"] == "note"


@pytest.mark.slow
def test_a_stale_index_is_found_and_removed(tmp_path: Path, shell: Shell, minilm: Embedder) -> None:
    """An index of another record, or a damaged one, costs time and no answers."""
    folder = tmp_path / "cache"
    with SemanticCache(folder, embedder=minilm, scan_limit=10) as cache:
        for number in range(40):
            cache.put(f"What is number {number}?", f"It is {number}.")
        cache.get("What's number 7?")
        cache.flush()
    assert list((folder / "index").glob("0*"))
    assert checks(shell, folder)[1]["index"] == "ok"
    for file in (folder / "index").rglob("*.bin"):
        file.write_bytes(os.urandom(64))
    for file in (folder / "index").rglob("chroma.sqlite3"):
        file.write_bytes(b"damaged" * 1000)
    code, found = checks(shell, folder)
    assert (code, found["index"]) == (1, "warning")
    assert checks(shell, folder, "--repair")[1]["index"] == "mended"
    assert checks(shell, folder)[1]["index"] == "ok"
    with SemanticCache(folder, embedder=minilm) as cache:
        assert cache.get("What is number 7?") == "It is 7."


# -- config --------------------------------------------------------------------------------------


def test_a_configuration_names_a_cache_in_every_command(
    folder: Path, tmp_path: Path, shell: Shell
) -> None:
    """PATH may be the file that the program itself uses."""
    file = tmp_path / "cache.yaml"
    file.write_text(f"path: {folder}\nthreshold: 1.0\n")
    assert shell.told("stats", file) == shell.told("stats", folder)
    assert not shell.told("search", file, "How could I reset my password?")["hit"]
    assert shell.told("search", folder, "How could I reset my password?")["hit"]


def test_config_check_shows_what_is_set(tmp_path: Path, shell: Shell) -> None:
    """Secrets as references; --build makes the parts too."""
    file = tmp_path / "cache.yaml"
    file.write_text("entries: 'postgresql://u:${PASSWORD:-secret}@h/d'\nevaluator: cosine\n")
    assert shell.told("config", "check", file)["valid"]
    shown = shell("config", "check", file, "--build").out
    assert "${PASSWORD:-secret}" in shown
    assert "cosine" in shown


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{upstream: x}", "server.upstream"),
        ("{port: http}", "server.port"),
        ("{keys: {acme: plain}}", "server.keys"),
        ("{unknown: 1}", "server.unknown"),
        ("{timeout: soon}", "server.timeout"),
        ("{turns: {tool_call: exact}}", "tool_calls"),
    ],
)
def test_config_check_looks_at_the_servers_section(
    section: str, said: str, tmp_path: Path, shell: Shell
) -> None:
    """What `serve` would refuse is refused here; that the upstream is said elsewhere is not."""
    (tmp_path / "c.yaml").write_text(f"server: {section}\n")
    ended = shell.run("config", "check", tmp_path / "c.yaml")
    assert ended.code == 2
    assert said in ended.err
    (tmp_path / "c.yaml").write_text("server: {port: 8001}\n")
    assert shell.told("config", "check", tmp_path / "c.yaml")["valid"]


def test_config_schema_is_json(shell: Shell) -> None:
    """Nothing else is on standard output."""
    assert shell("config", "schema").told["properties"]["threshold"]


def test_gptcaches_configuration_becomes_one_of_ours(tmp_path: Path, shell: Shell) -> None:
    """What comes out makes a cache; what has no counterpart is said, and is exit code 1."""
    (tmp_path / "old.yaml").write_text(
        "embedding: sbert\nembedding_config: {model: all-MiniLM-L6-v2}\n"
        "storage_config: {manager: 'sqlite,faiss', data_dir: data, max_size: 500, eviction: LRU}\n"
        "evaluation: distance\npre_function: get_prompt\npost_function: first\n"
        "config: {similarity_threshold: 0.9}\n"
    )
    shell("config", "from-gptcache", tmp_path / "old.yaml", "-o", tmp_path / "new.yaml")
    assert shell.told("config", "check", tmp_path / "new.yaml")["settings"]["threshold"] == 0.8
    with SemanticCache.from_config(tmp_path / "new.yaml") as cache:
        cache.put("How do I reset my password?", "So.")
        assert cache.get("How can I reset my password?") == "So."
    (tmp_path / "old.yaml").write_text("embedding: rwkv\nfoo: 1\n")
    ended = shell.run("config", "from-gptcache", tmp_path / "old.yaml", "--json")
    assert ended.code == 1
    assert {one["verdict"] for one in ended.told["items"]} == {"refused"}
