"""Whatever stands in the record is an answer of the allowed kinds or a miss; no code runs."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from llama_index.core.base.llms.types import ChatResponse
from pydantic import BaseModel, PrivateAttr, field_validator

from langchain_semcache.payload import CODEC as LANGCHAIN
from llamaindex_semcache.payload import CHAT, COMPLETION, ObjectCodec
from llamaindex_semcache.responses import RESPONSE
from semcache_core import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.entries.sql import SqlEntries
from semcache_core.envelope import MAGIC, Opened, seal, unseal
from semcache_core.errors import PayloadError
from semcache_core.models import Entry, Hit, Miss, Reason
from semcache_core.protocols import Codec

DEEP = 100_000
ran: list[str] = []
"""What code of the classes below ran."""


class Said(BaseModel):
    """What a structured prediction returns."""

    text: str


CODECS: list[Codec[Any]] = [JSON, LANGCHAIN, CHAT, COMPLETION, RESPONSE, ObjectCodec(Said)]


class Runs(BaseModel):
    """A class, loaded in this process, whose making has effects."""

    command: str = ""

    def model_post_init(self, context: Any) -> None:
        ran.append(self.command)


class Validates(BaseModel):
    """As above, by a validator."""

    command: str = ""

    @field_validator("command")
    @classmethod
    def run(cls, value: str) -> str:
        ran.append(value)
        return value


class Initialised(BaseModel):
    """As above, by its own constructor."""

    command: str = ""

    def __init__(self, **fields: Any) -> None:
        ran.append("init")
        super().__init__(**fields)


class Private(BaseModel):
    """As above, by the default of a private attribute."""

    command: str = ""
    _made: Any = PrivateAttr(default_factory=lambda: ran.append("private"))


def constructor(path: list[str], **kwargs: Any) -> bytes:
    """What LangChain reads as the call of a constructor."""
    made = {"lc": 1, "type": "constructor", "id": path, "kwargs": kwargs}
    return json.dumps([json.dumps(made)]).encode()


def of_class(name: str, fields: Any) -> bytes:
    """A LlamaIndex answer with an object of a class among its extras."""
    extra = {"semcache:class": name, "semcache:fields": fields}
    message = {"role": "assistant", "blocks": [], "additional_kwargs": {"x": extra}}
    kind = f"{ChatResponse.__module__}:ChatResponse"
    return orjson.dumps([kind, {"message": message, "additional_kwargs": {"y": extra}}])


LANGCHAIN_POISON = {
    "another message": constructor(
        ["langchain", "schema", "messages", "HumanMessage"], content="x"
    ),
    "a model": constructor(["langchain", "chat_models", "openai", "ChatOpenAI"], model="m"),
    "a prompt": constructor(["langchain", "prompts", "prompt", "PromptTemplate"], template="{x}"),
    "a module's function": constructor(["os", "system"], command="touch owned"),
    "a subprocess": constructor(["subprocess", "Popen"], args=["touch", "owned"]),
    "a secret": json.dumps(
        [json.dumps({"lc": 1, "type": "secret", "id": ["SEMCACHE_TEST_SECRET"]})]
    ).encode(),
    "not implemented": json.dumps(
        [json.dumps({"lc": 1, "type": "not_implemented", "id": ["os", "system"]})]
    ).encode(),
    "no list": b'{"a": 1}',
    "an empty list": b"[]",
    "numbers": b"[1, 2]",
    "nothing": b"",
    "deep": b"[" * DEEP,
    "deep inside": json.dumps(["[" * DEEP]).encode(),
    "deep and whole": json.dumps(["[" * DEEP + "]" * DEEP]).encode(),
    "cut": dumps(ChatGeneration(message=AIMessage("x"))).encode()[:-9],
    "pickle": b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.",
}


@pytest.mark.parametrize("name", LANGCHAIN_POISON)
def test_langchain_answers_outside_the_allowed_classes(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Are misses; nothing of what they name is made, run, or read from the environment."""
    monkeypatch.setenv("SEMCACHE_TEST_SECRET", "hunter2")
    monkeypatch.chdir(tmp_path)
    outcome = served(LANGCHAIN, LANGCHAIN_POISON[name])
    assert isinstance(outcome, Miss)
    assert outcome.reason is Reason.UNREADABLE
    assert "hunter2" not in outcome.detail
    assert not list(tmp_path.iterdir())


def test_a_secret_inside_an_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored message cannot pull a key from the environment into a served answer."""
    monkeypatch.setenv("SEMCACHE_TEST_SECRET", "hunter2")
    whole = json.loads(dumps(ChatGeneration(message=AIMessage("x"))))
    secret = {"lc": 1, "type": "secret", "id": ["SEMCACHE_TEST_SECRET"]}
    whole["kwargs"]["message"]["kwargs"]["additional_kwargs"] = {"key": secret}
    outcome = served(LANGCHAIN, json.dumps([json.dumps(whole)]).encode())
    assert "hunter2" not in repr(outcome) + repr(getattr(outcome, "answer", ""))


@pytest.mark.parametrize(
    "kind",
    [Runs, Validates, Initialised, Private],
)
def test_llamaindex_answers_run_no_code_of_their_classes(kind: type[BaseModel]) -> None:
    """An object that would run its own code when made stays the JSON that it was."""
    ran.clear()
    name = f"{kind.__module__}:{kind.__qualname__}"
    sys.modules.setdefault(kind.__module__, sys.modules[__name__])
    outcome = served(CHAT, of_class(name, {"command": "touch owned"}))
    assert isinstance(outcome, Hit)
    assert ran == []
    assert outcome.answer.additional_kwargs == {"y": {"command": "touch owned"}}


@pytest.mark.parametrize(
    "name",
    ["os:system", "subprocess:Popen", "builtins:eval", "llama_index.llms.openai:OpenAI",
     "langchain_semcache:SemanticCacheMiddleware", "no.such.module:Class", "sys:modules", ":", ""],
)  # fmt: skip
def test_llamaindex_answers_make_nothing_but_plain_data(name: str) -> None:
    """Other classes are left alone, and a module is not asked to import one."""
    before = set(sys.modules)
    outcome = served(CHAT, of_class(name, {"a": 1}))
    assert isinstance(outcome, Hit)
    assert outcome.answer.additional_kwargs == {"y": {"a": 1}}
    assert set(sys.modules) == before


@pytest.mark.parametrize("name", ["os:system", "pydantic:BaseModel", "builtins:dict", "", 7, None])
def test_llamaindex_answers_of_another_class_are_misses(name: Any) -> None:
    """What calls itself a response must be one."""
    assert isinstance(served(CHAT, orjson.dumps([name, {}])), Miss)


MALFORMED = [
    b"", b"\0", b"null", b"{}", b"[]", b"[[]]", b'"', b"[" * DEEP, b'{"a":' * DEEP,
    b"[" * DEEP + b"]" * DEEP, b"NaN", b"1e999", b"\xff\xfe", b'["\\ud800"]', b"-" * 1000,
    b"9" * 5_000, b'{"a":1,"a":2}', b"[null, null]", b'["a", {"message": {}}]',
]  # fmt: skip


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:12]))
def test_malformed_answers_never_raise(codec: Codec[Any], data: bytes) -> None:
    """A lookup gives a miss, or the value if the codec can hold it; `find` raises nothing."""
    served(codec, data)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=60)
@example(data=b'{"lc":1}')
def test_codecs_raise_nothing_but_payload_errors(codec: Codec[Any], data: bytes) -> None:
    """`decode` gives a value or `PayloadError`, for any bytes."""
    with contextlib.suppress(PayloadError):
        codec.decode(data)


headers = st.lists(
    st.sampled_from([MAGIC.encode(), b" ", b"1", b"2", b"json", b"\n", b"0" * 16, b"\xff", b"{}"]),
    max_size=9,
).map(b"".join)


@given(headers | st.binary(max_size=300) | st.builds(bytes.__add__, headers, st.binary()))
def test_an_envelope_opens_only_if_it_was_sealed(data: bytes) -> None:
    """`unseal` gives what `seal` took, or `PayloadError`."""
    try:
        opened = unseal(data)
    except PayloadError:
        return
    assert seal(opened.codec, opened.data) == data


@given(st.binary(max_size=300), st.data())
def test_a_damaged_envelope_does_not_open(data: bytes, draw: Any) -> None:
    """Any one byte changed, and any end cut off, is noticed."""
    sealed = seal("json", data)
    place = draw.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[place] ^= draw.draw(st.integers(1, 255))
    for bad in (bytes(changed), sealed[:place]):
        try:
            opened = unseal(bad)
        except PayloadError:
            continue
        # The codec's name is not under the checksum: a name that differs is another codec's.
        assert (opened.data, opened.codec != "json") == (data, True)


def test_an_envelope_for_another_codec_is_a_miss() -> None:
    """One framework's answer is not read as another's, whatever the key."""
    payload = seal(LANGCHAIN.name, LANGCHAIN.encode([ChatGeneration(message=AIMessage("x"))]))
    outcome = served(JSON, payload=payload)
    assert isinstance(outcome, Miss)
    assert "langchain" in outcome.detail
    assert unseal(payload) == Opened(LANGCHAIN.name, unseal(payload).data)


# -- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("vector", b"\xff" * 64),  # NaN
        ("vector", b""),
        ("vector", b"x"),
        ("vector", "text"),
        ("dimension", 10**9),
        ("dimension", -1),
        ("turns", "[" * DEEP),
        ("turns", '{"a": 1}'),
        ("turns", "7"),
        ("payload", "text"),
        ("payload", b""),
        ("expires", "soon"),
        ("created", "long ago"),
        ("uses", "many"),
        ("tokens", -5),
        ("query", b"\xff"),
        ("query", 7),
        ("namespace", 3.5),
        ("last_used", b"x"),
    ],
)
def test_a_row_with_a_poisoned_column_is_a_miss_at_worst(
    tmp_path: Path, column: str, value: Any
) -> None:
    """Each lookup answers or misses, exact and by meaning, and other rows are served."""
    with SemanticCache(tmp_path, embedder=HashEmbedder(), threshold=0.1) as cache:
        cache.put("what is the poisoned thing", "a")
        cache.put("who wrote the other book", "b")
    record = SqlEntries(f"sqlite:///{tmp_path / 'entries.sqlite3'}")
    with record._engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE semcache SET {column} = ? WHERE query LIKE '%poisoned%'", (value,)
        )
    record.close()
    with SemanticCache(tmp_path, embedder=HashEmbedder(), threshold=0.1) as cache:
        for question in ("what is the poisoned thing", "what is the poisoned thing then"):
            outcome = cache.find(cache.prompt(JSON.name, None, question), JSON)
            assert not outcome or outcome.answer == "a"
        assert cache.get("who wrote the other book") == "b"
        assert cache.put("what is the poisoned thing", "anew")
        assert cache.get("what is the poisoned thing") == "anew"


def test_a_huge_answer_is_neither_stored_nor_served() -> None:
    """The limit is on both sides, since the record may be written by others."""
    with SemanticCache(embedder=HashEmbedder(), max_entry_bytes=10_000) as cache:
        assert not cache.put("q", "x" * 20_000)
        assert cache.stats().not_stored == {"larger than max_bytes or max_entry_bytes": 1}
        prompt = cache.prompt(JSON.name, None, "q")
        huge = seal(JSON.name, JSON.encode("x" * 20_000))
        cache._parts.store._entries.put([Entry(prompt.key, prompt.scope, "", huge, 0.0)])
        assert not cache.find(prompt, JSON)


def test_a_huge_question_costs_no_embedding() -> None:
    """Twenty megabytes of a question are a miss, and an exact match the second time."""
    with SemanticCache(max_entry_bytes="64MB") as cache:
        question = "why " * 5_000_000
        assert cache.get(question) is None
        assert cache.put(question, "because")
        assert cache.get(question) == "because"
        assert "embed" not in cache.stats().latency


def served(codec: Codec[Any], data: bytes = b"", payload: bytes | None = None) -> Any:
    """The outcome of a lookup whose entry holds these bytes."""
    with SemanticCache(embedder=HashEmbedder()) as cache:
        prompt = cache.prompt(codec.name, None, "question")
        sealed = seal(codec.name, data) if payload is None else payload
        entry = Entry(prompt.key, prompt.scope, "", sealed, 0.0)
        cache._parts.store.put([entry])
        return cache.find(prompt, codec)
