"""Exports as lines, and what an import refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.embedders import HashEmbedder
from semcache_core.entries.memory import MemoryEntries
from semcache_core.envelope import seal
from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.exchange import export_lines, import_lines, read_gptcache, read_pairs
from semcache_core.models import Entry

VECTOR = HashEmbedder().embed(["a question"])[0]


def entry(**more: Any) -> Entry:
    """One entry with everything."""
    given: dict[str, Any] = {
        "key": "a" * 64,
        "scope": "b" * 64,
        "namespace": "tenant",
        "payload": seal("json", b'"answer"'),
        "created": 1000.25,
        "query": "a question",
        "vector": VECTOR,
        "turns": ("before",),
        "model": "m",
        "expires": 2e9,
        "last_used": 1001.5,
        "uses": 3,
        "tokens": 7,
    }
    return Entry(**given | more)


def record(*entries: Entry, **values: str) -> MemoryEntries:
    """In memory."""
    made = MemoryEntries()
    for name, value in values.items():
        made.set_meta(name, value)
    made.put(entries)
    return made


def told(one: Entry) -> Any:
    """What has to survive."""
    vector = None if one.vector is None else one.vector.tobytes()
    return (*(getattr(one, n) for n in Entry.__slots__ if n not in ("seq", "vector")), vector)


@given(
    namespace=st.text(max_size=5),
    query=st.none() | st.text(max_size=20).filter(lambda t: t.isprintable()),
    data=st.binary(max_size=40),
    created=st.floats(0, 4e9),
    uses=st.integers(0, 2**31),
    turns=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
def test_any_entry_survives(**given_: Any) -> None:
    """Answers that are no text go as base64."""
    data = given_.pop("data")
    one = entry(payload=seal("json", data), **given_)
    source, target = record(one, embedder="hash", dimension="256"), record()
    assert import_lines(target, export_lines(source)).stored == 1
    assert [told(e) for e in target.entries()] == [told(e) for e in source.entries()]
    assert target.meta("embedder") == "hash"


def test_the_newer_answer_stays() -> None:
    """Whichever way they come."""
    old, new = entry(created=1.0), entry(created=2.0, tokens=9)
    target = record(new)
    assert import_lines(target, export_lines(record(old))).present == 1
    assert next(target.entries()).tokens == 9
    target = record(old)
    assert import_lines(target, export_lines(record(new))).stored == 1
    assert next(target.entries()).tokens == 9


def test_what_belongs_to_one_record_stays_there() -> None:
    """Its name, its layout and its index's state."""
    own = {"id": "x", "schema": "1", "index.lease": "y"}
    head = json.loads(next(export_lines(record(**own, policy="z"))))
    assert head["values"] == {"policy": "z"}


def test_many_entries_go_in_batches() -> None:
    """All of them."""
    many = [entry(key=f"{number:064x}") for number in range(1_203)]
    target = record()
    assert import_lines(target, export_lines(record(*many))).stored == 1_203


HEAD = json.dumps({"semcache": 1, "values": {"dimension": "256"}})
LINE = json.loads(list(export_lines(record(entry())))[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "zz"}, "key"),
        ({"scope": None}, "scope"),
        ({"extra": 1}, "extra"),
        ({"uses": -1}, "uses"),
        ({"tokens": True}, "tokens"),
        ({"created": "now"}, "created"),
        ({"expires": "never"}, "expires"),
        ({"query": 7}, "query"),
        ({"turns": "x"}, "turns"),
        ({"namespace": None}, "namespace"),
        ({"vector": "!"}, "vector"),
        ({"vector": 7}, "vector"),
        ({"vector": "AAAAAA=="}, "256 numbers"),
        ({"payload": "x"}, "envelope"),
        ({"payload": None}, "missing"),
        ({"payload": 7}, "missing"),
    ],
)
def test_a_wrong_entry_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    """What came before it is stored, and nothing of it."""
    target = record()
    lines = [HEAD, json.dumps(LINE), json.dumps(LINE | change)]
    with pytest.raises(ConfigError, match="line:3") as caught:
        import_lines(target, lines)
    assert said in str(caught.value)
    assert target.count() == 1


@pytest.mark.parametrize(
    "head",
    [
        "",
        "x",
        "7",
        "{}",
        '{"semcache": 1}',
        '{"semcache": 2, "values": {}}',
        '{"semcache": 1, "values": {"a": 1}}',
        '{"semcache": 1, "values": {"dimension": "x"}}',
    ],
)
def test_a_wrong_beginning_is_refused(head: str) -> None:
    """Before anything is written."""
    target = record()
    with pytest.raises(ConfigError):
        import_lines(target, [head, json.dumps(LINE)])
    assert target.metas() == {}


def test_vectors_of_two_embedders_are_not_mixed() -> None:
    """They cannot be compared."""
    with pytest.raises(IncompatibleError):
        import_lines(record(embedder="x"), export_lines(record(embedder="y")))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", 'q,a\n"x', "CSV"),
        ("a.csv", "q,a\n1,2,3\n", "more columns"),
        ("a.csv", "q,a\n", "no questions"),
        ("a.json", "7", "a list"),
        ("a.json", "[7]", "item 1"),
        ("a.jsonl", "[" * 100_000, "nested"),
        ("a.jsonl", '{"q": "x", "a": "y", "ttl": -1}', "ttl"),
        ("a.jsonl", '{"q": "x", "a": "y", "tokens": "many"}', "tokens"),
    ],
)
def test_pairs_that_are_none_are_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    """With the file and what is wrong."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")) as caught:
        read_pairs(tmp_path / name)
    assert said in str(caught.value)


def test_what_is_not_gptcaches_is_refused(tmp_path: Path) -> None:
    """No such folder, another database, one without answers."""
    import sqlite3

    with pytest.raises(ConfigError, match="not there"):
        read_gptcache(tmp_path / "none")
    with sqlite3.connect(tmp_path / "sqlite.db") as database:
        database.execute("CREATE TABLE t (x)")
    with pytest.raises(ConfigError, match="GPTCache's database"):
        read_gptcache(tmp_path)
    with sqlite3.connect(tmp_path / "sqlite.db") as database:
        database.execute("CREATE TABLE gptcache_question (id, question, deleted)")
        database.execute("CREATE TABLE gptcache_answer (id, question_id, answer, answer_type)")
    with pytest.raises(ConfigError, match="no questions"):
        read_gptcache(tmp_path)
