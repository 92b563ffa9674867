"""Answers taken apart and put together: chunks to a whole, a whole to chunks, what is not kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.codecs import codec_named
from semcache_core.envelope import seal
from semcache_core.errors import PayloadError
from semcache_core.models import Entry, Hit, Miss, Prompt, Reason
from semcache_core.server import sse
from semcache_core.server.endpoints import CHAT, COMPLETION, EMBEDDING, RESPONSE
from semcache_core.server.merging import add
from semcache_core.server.pieces import pieces, total_tokens
from semcache_core.server.replies import Reply, whole
from semcache_core.server.told import told
from semcache_core.server.usage import without_usage

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
USAGE_WANTED = {"stream_options": {"include_usage": True}}


def chat(message: dict[str, Any], ended: Any = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion of one choice."""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": ended}
    head = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [{**choice, **more}], "usage": USAGE}


def says(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def call(arguments: str) -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function}


TEXTS = st.text(min_size=1)
MESSAGES = st.one_of(
    st.builds(says, TEXTS),
    st.builds(lambda a, b: says(a, reasoning_content=b), TEXTS, TEXTS),
    st.builds(
        lambda many: says(None, tool_calls=list(map(call, many))), st.lists(TEXTS, min_size=1)
    ),
    st.builds(lambda a, b: says(a, tool_calls=[call(b)]), TEXTS, TEXTS),
)


@given(st.lists(MESSAGES, min_size=1, max_size=3))
def test_a_replayed_stream_joins_to_the_same_answer(messages: list[dict[str, Any]]) -> None:
    """Every text, call and choice survives being cut into chunks."""
    answer = chat(messages[0])
    answer["choices"] = [
        {**answer["choices"][0], "index": n, "message": one} for n, one in enumerate(messages)
    ]
    events = list(CHAT.endpoint.replay(answer, USAGE_WANTED))
    assert CHAT.endpoint.ends(events[-1])
    joined = CHAT.endpoint.join(events)
    for choice in joined["choices"]:
        choice["message"]["content"] = choice["message"]["content"] or None
    assert joined == answer


@given(TEXTS)
def test_a_replayed_completion_joins_to_the_same_answer(text: str) -> None:
    """As for chat."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "a", "object": "text_completion", "created": 1, "model": "m"}
    answer = {**head, "choices": [choice], "usage": USAGE}
    assert (
        COMPLETION.endpoint.join(list(COMPLETION.endpoint.replay(answer, USAGE_WANTED))) == answer
    )


@given(st.text())
def test_pieces_are_the_text(text: str) -> None:
    """In at most 64, none of them empty."""
    found = list(pieces(text))
    assert "".join(found) == text
    assert len(found) <= 64
    assert all(found)


def test_log_probabilities_stay_with_their_text() -> None:
    """Tokens' borders are not known, so the text comes in one piece with them."""
    tokens = {"content": [{"token": "a", "logprob": -1.0}], "refusal": None}
    answer = chat(says("a b c"), logprobs=tokens)
    events = list(CHAT.endpoint.replay(answer, {}))
    assert CHAT.endpoint.join(events)["choices"] == answer["choices"]
    choice = {"index": 0, "text": "a b", "logprobs": {"tokens": ["a"]}, "finish_reason": "stop"}
    old = {"id": "a", "choices": [choice]}
    assert COMPLETION.endpoint.join(list(COMPLETION.endpoint.replay(old, {})))["choices"] == [
        choice
    ]


def test_calls_of_other_kinds_are_replayed_whole() -> None:
    """A custom tool's call has no function; the oldest kind of call is no list."""
    custom = {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}
    for message in (says(None, tool_calls=[custom]), says(None, function_call={"name": "f"})):
        answer = chat(message)
        joined = CHAT.endpoint.join(list(CHAT.endpoint.replay(answer, {})))
        message["content"] = ""
        assert joined["choices"][0]["message"] == message


@pytest.mark.parametrize(
    ("whole_so_far", "delta", "expected"),
    [
        ({}, {"content": "a"}, {"content": "a"}),
        ({"content": "a"}, {"content": "b"}, {"content": "ab"}),
        ({"content": None}, {"content": "b"}, {"content": "b"}),
        ({"content": "a"}, {"content": None}, {"content": "a"}),
        ({"role": "assistant"}, {"role": "assistant"}, {"role": "assistant"}),
        ({"role": "assistant"}, {"role": ""}, {"role": "assistant"}),
        ({"n": 1}, {"n": 2}, {"n": 2}),
        ({"o": {"a": "x"}}, {"o": {"a": "y", "b": 1}}, {"o": {"a": "xy", "b": 1}}),
        ({"l": [1]}, {"l": [2]}, {"l": [1, 2]}),
        (
            {"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "1"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "2"}}]},
            {"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "12"}}]},
        ),
        (
            {"tool_calls": [{"index": 0, "id": "a"}]},
            {"tool_calls": [{"index": 0, "id": "b"}]},
            {"tool_calls": [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}]},
        ),
        (
            {"tool_calls": [{"index": 0, "id": "a"}]},
            {"tool_calls": [{"index": 1, "id": "b"}]},
            {"tool_calls": [{"index": 0, "id": "a"}, {"index": 1, "id": "b"}]},
        ),
    ],
)
def test_deltas_are_joined_as_openai_has_them(whole_so_far: Any, delta: Any, expected: Any) -> None:
    """Texts appended, lists by index, objects field by field, names once."""
    add(whole_so_far, delta)
    assert whole_so_far == expected


@pytest.mark.parametrize(
    ("whole_so_far", "delta"),
    [({"a": "x"}, {"a": {"b": 1}}), ({"a": "x"}, {"a": [1]}), ({"a": {"b": 1}}, {"a": "x"})],
)
def test_a_field_that_changes_its_kind_cannot_be_joined(whole_so_far: Any, delta: Any) -> None:
    """So the stream is passed on and not stored."""
    with pytest.raises(ValueError, match="goes on as"):
        add(whole_so_far, delta)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [b": a comment"],
        [sse.DONE],
        [b'data: {"error": {"message": "x"}}'],
        [b"data: {"],
        [b"data: 3"],
    ],
)
def test_what_is_no_stream_of_chunks_cannot_be_joined(events: list[bytes]) -> None:
    """At any endpoint."""
    for replies in (CHAT, COMPLETION, RESPONSE):
        with pytest.raises(ValueError):  # json's own is one of them
            replies.endpoint.join(events)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (chat(says("a")), ""),
        (chat(says(None, tool_calls=[call("{}")]), "tool_calls"), ""),
        (chat(says([{"type": "text", "text": "a"}])), ""),
        (chat(says("a"), "length"), "cut short"),
        (chat(says("a"), "content_filter"), "filtered or refused"),
        (chat(says(None, refusal="no")), "filtered or refused"),
        (chat(says("a", audio={"id": "x"})), "audio"),
        (chat(says("a"), None), "unfinished"),
        (chat(says(" ")), "empty answer"),
        (chat(says(None)), "empty answer"),
        ({"choices": []}, "no answer"),
        ({}, "no answer"),
        ({"choices": [{"finish_reason": "stop", "message": None}]}, "empty answer"),
    ],
)
def test_chats_that_are_not_kept(answer: dict[str, Any], why: str) -> None:
    """Cut short, filtered, refused, unfinished, empty, or known by an id that expires."""
    assert CHAT.endpoint.unfit(answer) == why


def response(*output: Any, status: str = "completed") -> dict[str, Any]:
    """A response of these items."""
    return {"id": "r", "created_at": 1, "status": status, "output": list(output)}


def item(kind: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": "i", **({"content": list(content)} if content else {}), **more}


TEXT = {"type": "output_text", "text": "a b", "annotations": [{"type": "url_citation"}]}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (response(item("message", TEXT)), ""),
        (response(item("function_call", call_id="c")), ""),
        (response(item("message", TEXT), status="incomplete"), "unfinished"),
        (response(item("web_search_call"), item("message", TEXT)), "the provider ran a tool"),
        (response(item("message", {"type": "refusal"})), "filtered or refused"),
        (response(item("reasoning")), "empty answer"),
        ({"status": "completed"}, "unfinished"),
    ],
)
def test_responses_that_are_not_kept(answer: dict[str, Any], why: str) -> None:
    """As for chat, and what the provider's own tools found."""
    assert RESPONSE.endpoint.unfit(answer) == why


def test_a_response_is_replayed_event_by_event() -> None:
    """Each item announced, filled and done; the last event holds the whole response."""
    answer = response(
        item("reasoning", summary=[{"type": "summary_text", "text": "because"}]),
        item("message", TEXT, status="completed"),
        item("custom_tool_call", call_id="c", input="x"),
        item("function_call", call_id="d", arguments="{}"),
    )
    events = list(RESPONSE.endpoint.replay(answer, {}))
    assert RESPONSE.endpoint.join(events) == answer
    assert [RESPONSE.endpoint.ends(one) for one in events] == [False] * (len(events) - 1) + [True]
    told_of = [sse.read(one) or {} for one in events]
    assert [one["sequence_number"] for one in told_of] == list(range(len(events)))
    kinds = [one["type"] for one in told_of]
    for kind in (
        "response.reasoning_summary_text.delta",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.custom_tool_call_input.done",
        "response.function_call_arguments.done",
    ):
        assert kind in kinds
    assert events[0].startswith(b"event: response.created\n")


def test_an_event_that_cannot_be_read_is_not_the_last() -> None:
    """It is passed on; whether it makes an answer is asked at the end."""
    assert not RESPONSE.endpoint.ends(b'data: {"type": "error"')
    assert RESPONSE.endpoint.ends(b'data: {"type": "error"}')
    assert not RESPONSE.endpoint.ends(b'data: {"type": "x", "delta": "error"}')


def test_a_fresh_answer_has_its_own_ids() -> None:
    """Of itself and of its calls, each time; nothing else changes."""
    answer = chat(says(None, tool_calls=[call("{}")]))
    one, two = CHAT.endpoint.fresh(answer), CHAT.endpoint.fresh(answer)
    ids = {made["choices"][0]["message"]["tool_calls"][0]["id"] for made in (one, two, answer)}
    assert len(ids) == len({one["id"], two["id"], answer["id"]}) == 3
    held = {**response(item("function_call", call_id="c")), "completed_at": 2}
    made = RESPONSE.endpoint.fresh(held)
    assert made["output"][0]["call_id"] != "c"
    assert made["completed_at"] == made["created_at"] > 2


def test_answers_are_text_for_people() -> None:
    """Words, or the calls as JSON."""
    assert CHAT.endpoint.text(chat(says("a"))) == "a"
    assert json.loads(CHAT.endpoint.text(chat(says(None, tool_calls=[call("1")])))) == [call("1")]
    assert json.loads(CHAT.endpoint.text(chat(says([{"x": 1}])))) == [{"x": 1}]
    assert COMPLETION.endpoint.text({"choices": [{"text": "a"}]}) == "a"
    assert RESPONSE.endpoint.text(response(item("message", TEXT))) == "a b"
    assert "call_id" in RESPONSE.endpoint.text(response(item("function_call", call_id="c")))
    assert EMBEDDING.text(b'{"embedding": [1, 2]}') == "(an embedding: 2 numbers)"
    assert EMBEDDING.text(b'{"embedding": "AAAA"}') == "(an embedding: 4 characters)"
    assert not COMPLETION.endpoint.calls_tools({})


@pytest.mark.parametrize(
    "data", [b"", b"3", b"[]", b"{}", b"\xff", b'{"choices": [3]}', b"[" * 9999]
)
def test_a_damaged_answer_is_unreadable_and_not_an_error_of_another_kind(data: bytes) -> None:
    """Whatever stands in the record."""
    for codec in (CHAT, COMPLETION, RESPONSE, EMBEDDING):
        with pytest.raises(PayloadError):
            codec.decode(data)


def test_codecs_are_found_by_name() -> None:
    """So that the command line shows these answers too."""
    for codec in (CHAT, COMPLETION, RESPONSE, EMBEDDING):
        assert codec_named(codec.name) == codec or codec_named(codec.name).name == codec.name
    text = json.dumps(chat(says("a"))).encode()
    assert CHAT.text(text) == "a"
    with pytest.raises(PayloadError, match="not a JSON object"):
        CHAT.encode(Reply(500, b"{}"))
    assert json.loads(CHAT.encode(whole({"a": 1}))) == {"a": 1}


@given(
    st.lists(st.text(alphabet="ab:{}é", min_size=1)),
    st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]),
    st.integers(1, 9),
)
def test_events_are_found_however_they_arrive(blocks: list[str], end: str, step: int) -> None:
    """Cut anywhere, with any line ends, with or without one behind the last."""
    data = "".join(f"data: {block}{end}" for block in blocks).encode()

    async def arriving(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), step):
            yield data[start : start + step]

    async def read(data: bytes) -> list[bytes]:
        return [event async for event in sse.events(arriving(data))]

    expected = [f"data: {block}".encode() for block in blocks]
    assert asyncio.run(read(data)) == expected
    assert asyncio.run(read(data.rstrip(b"\r\n"))) == expected


def test_events_are_read_as_the_standard_says() -> None:
    """Several lines of data are one; comments and names are none."""
    assert sse.data_of(b"event: x\ndata: {\ndata:}") == b"{\n}"
    assert sse.data_of(b": hello") is None
    assert sse.read(b"event: x\r\ndata: {}\r\nid: 3") == {}
    assert sse.is_done(b"data:[DONE]")
    assert not sse.is_done(b'data: {"a": "[DONE]"}')
    assert sse.write({"a": "é"}, "x") == 'event: x\ndata: {"a":"é"}'.encode()


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (b'data: {"choices":[1]}', b'data: {"choices":[1]}'),
        (b'data: {"choices":[],"usage":{"total_tokens":1}}', None),
        (b'data: {"choices":[],"usage":null}', b'data: {"choices":[],"usage":null}'),
        (b'data: {"choices":[1],"usage":null}', b'data: {"choices":[1]}'),
        (b'data: {"choices":[1],"usage":{"a":1}}', b'data: {"choices":[1],"usage":{"a":1}}'),
        (b'data: {"choices":[{"t":"\\"usage\\""}]}', b'data: {"choices":[{"t":"\\"usage\\""}]}'),
        (b'data: {"usage"', b'data: {"usage"'),
        (b': "usage"', b': "usage"'),
    ],
)
def test_usage_that_was_not_asked_for_is_not_shown(event: bytes, shown: bytes | None) -> None:
    """And everything else is."""
    assert without_usage(event) == shown


def test_tokens_are_as_reported() -> None:
    """Nothing, if they were not."""
    assert total_tokens({"usage": {"total_tokens": 3}}) == 3
    for answer in ({}, {"usage": None}, {"usage": {"total_tokens": "3"}}, {"usage": {}}):
        assert total_tokens(answer) == 0


@given(st.text())
def test_any_reason_is_fit_for_a_header(detail: str) -> None:
    """Printable ASCII of a bounded length, on one line."""
    prompt = Prompt("s", "k")
    entry = Entry("k", "s", "", seal("x", b""), 0.0)
    outcomes = [Miss(prompt, Reason.REJECTED, detail), None]
    for headers in (told(outcomes[0]), told(None, detail)):
        assert all(" " <= one <= "~" for one in headers["x-semcache-reason"])
        assert len(headers["x-semcache-reason"]) <= 300
    hit = told(Hit(prompt, entry, 1.0, Reason.EXACT, 3.7, detail=detail))
    assert hit["x-semcache-age"] == "3"
    assert hit["x-semcache-reason"].isascii()
