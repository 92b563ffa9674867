"""OpenAI's own client through the server: cold, warm, streamed, with tools, all at once."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from chat_upstream import Upstream

from semcache_core.turns import Turns

from .conftest import Serve, Served, said

PASSWORD = "How do I reset my password?"
REWORDED = "How can I reset my password?"
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
ASKED: dict[str, Any] = {"model": "gpt-4o"}


def ask(client: openai.OpenAI, question: str, **more: Any) -> tuple[str, Any, httpx.Headers]:
    """What the server says of it, the completion, and all headers."""
    asked = {"messages": said(question), **ASKED, **more}
    raw = client.chat.completions.with_raw_response.create(**asked)
    return raw.headers["x-semcache"], raw.parse(), raw.headers


def stream(client: openai.OpenAI, question: str, **more: Any) -> tuple[str, list[Any]]:
    """What the server says of it, and the chunks."""
    asked = {"messages": said(question), **ASKED, **more}
    with client.chat.completions.create(stream=True, **asked) as chunks:
        return chunks.response.headers["x-semcache"], list(chunks)


def text_of(chunks: list[Any]) -> str:
    """The first choice's text."""
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


def test_a_repeated_and_a_reworded_question_are_answered_without_the_model(
    served: Served, provider: Upstream
) -> None:
    """The first is a miss, the same is an exact hit, the reworded one a semantic hit."""
    client = served.client()
    first, answer, _ = ask(client, PASSWORD)
    same, again, exact = ask(client, PASSWORD)
    alike, reworded, semantic = ask(client, REWORDED)
    assert (first, same, alike) == ("miss", "hit", "hit")
    texts = {one.choices[0].message.content for one in (answer, again, reworded)}
    assert texts == {"Answer 1 to: " + PASSWORD}
    assert provider.calls == 1
    assert exact["x-semcache-kind"] == "exact"
    assert semantic["x-semcache-kind"] == "semantic"
    assert 0.9 < float(semantic["x-semcache-similarity"]) < 1.0
    assert semantic["x-semcache-entry"] == exact["x-semcache-entry"]
    assert int(semantic["x-semcache-age"]) >= 0
    assert "threshold" in semantic["x-semcache-reason"]


def test_a_near_miss_is_asked(served: Served, provider: Upstream) -> None:
    """Another thing to reset, another number: both go to the model, and the reason is told."""
    client = served.client()
    ask(client, PASSWORD)
    ask(client, "Where is order 4711?")
    assert ask(client, "How do I reset my router?")[0] == "miss"
    miss, _, headers = ask(client, "Where is order 4712?")
    assert miss == "miss"
    assert "reject" in headers["x-semcache-reason"]
    assert provider.calls == 4


def test_a_hit_is_a_completion_of_its_own(served: Served) -> None:
    """It has an id and a time of its own, and the usage of the answer that it repeats."""
    client = served.client()
    _, cold, _ = ask(client, PASSWORD)
    _, warm, _ = ask(client, PASSWORD)
    assert warm.id != cold.id
    assert warm.created > cold.created
    assert warm.model == cold.model
    assert warm.usage == cold.usage
    assert warm.choices == cold.choices


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "gpt-4o-mini"},
        {"temperature": 0.3},
        {"seed": 7},
        {"n": 2},
        {"logprobs": True},
        {"max_tokens": 5},
        {"top_p": 0.5},
        {"user": "ann"},
        {"response_format": {"type": "json_object"}},
        {"tools": TOOLS},
        {"messages": said(PASSWORD, {"role": "system", "content": "Be brief."})},
        {"messages": said(PASSWORD, {"role": "developer", "content": "Be brief."})},
        {
            "messages": said(
                PASSWORD,
                {"role": "user", "content": "Hello."},
                {"role": "assistant", "content": "Hello!"},
            )
        },
        {
            "messages": said(
                [
                    {"type": "text", "text": PASSWORD},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ]
            )
        },
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_everything_but_the_question_must_match(
    served: Served, provider: Upstream, changed: dict[str, Any]
) -> None:
    """A parameter, the system prompt, an earlier turn or an image makes it another request."""
    client = served.client()
    ask(client, PASSWORD)
    assert ask(client, PASSWORD, **changed)[0] == "miss"
    assert ask(client, PASSWORD, **changed)[0] == "hit"
    assert provider.calls == 2


def test_what_says_nothing_of_the_answer_need_not_match(served: Served) -> None:
    """Metadata, a text as the one part of a list, and absent fields make no other request."""
    client = served.client()
    ask(client, PASSWORD)
    assert ask(client, PASSWORD, metadata={"trace": "1"}, tool_choice=None)[0] == "hit"
    parts = [{"type": "text", "text": PASSWORD}]
    assert ask(client, "", messages=said(parts))[0] == "hit"


def test_a_stream_and_a_whole_answer_are_one_entry(served: Served, provider: Upstream) -> None:
    """Either fills the cache for the other, and the texts are the same."""
    client = served.client()
    cold, streamed = stream(client, PASSWORD)
    warm, whole, _ = ask(client, PASSWORD)
    _, other, _ = ask(client, "What is the tallest tree?")
    again, replayed = stream(client, "What is the tallest tree?")
    assert (cold, warm, again) == ("miss", "hit", "hit")
    assert text_of(streamed) == whole.choices[0].message.content
    assert text_of(replayed) == other.choices[0].message.content
    assert whole.usage.total_tokens == 30
    assert provider.calls == 2


def test_a_replayed_stream_is_like_the_upstreams(served: Served) -> None:
    """The role first, several pieces of text, the reason it ended, one id throughout."""
    client = served.client()
    _, cold = stream(client, PASSWORD)
    verdict, warm = stream(client, PASSWORD)
    assert verdict == "hit"
    assert text_of(warm) == text_of(cold)
    assert len(warm) > 4
    assert warm[0].choices[0].delta.role == "assistant"
    assert [one.choices[0].finish_reason for one in warm] == [None] * (len(warm) - 1) + ["stop"]
    assert len({one.id for one in warm}) == 1
    assert warm[0].id != cold[0].id
    assert {one.object for one in warm} == {"chat.completion.chunk"}


def test_usage_is_streamed_to_who_asked_for_it(served: Served, provider: Upstream) -> None:
    """Cold and warm alike, the last chunk has it if it was asked for, and no chunk otherwise."""
    client = served.client()
    _, silent = stream(client, PASSWORD)
    options = {"include_usage": True}
    verdict, told = stream(client, PASSWORD, stream_options=options)
    _, cold = stream(client, "What is the tallest tree?", stream_options=options)
    assert verdict == "hit"
    assert all(one.usage is None and one.choices for one in silent)
    for chunks in (told, cold):
        assert chunks[-1].usage.total_tokens == 30
        assert chunks[-1].choices == []
        assert all(one.usage is None for one in chunks[:-1])
    assert provider.asked[0]["stream_options"] == options


def test_an_upstream_that_knows_no_stream_options_is_not_asked_for_usage(
    serve: Serve, provider: Upstream
) -> None:
    """With `stream_usage` off the request goes on as it came; who asks for usage gets it."""
    client = serve(stream_usage=False).client()
    stream(client, PASSWORD)
    assert "stream_options" not in provider.asked[0]
    verdict, chunks = stream(client, PASSWORD, stream_options={"include_usage": True})
    assert verdict == "miss"
    assert chunks[-1].usage.total_tokens == 30
    assert stream(client, PASSWORD, stream_options={"include_usage": True})[1][-1].usage


def test_several_choices_are_kept_together(served: Served) -> None:
    """A hit has as many as were asked for, whole and as a stream."""
    client = served.client()
    ask(client, PASSWORD, n=2)
    verdict, warm, _ = ask(client, PASSWORD, n=2)
    assert verdict == "hit"
    assert [one.index for one in warm.choices] == [0, 1]
    _, chunks = stream(client, PASSWORD, n=2)
    assert {one.choices[0].index for one in chunks} == {0, 1}


def test_tool_calls_are_asked_anew_by_default(served: Served, provider: Upstream) -> None:
    """A price or a balance asked for again is meant anew."""
    client = served.client()
    for _ in range(2):
        verdict, answer, _ = ask(client, "What is the weather?", tools=TOOLS)
        assert verdict == "miss"
        assert answer.choices[0].message.tool_calls
    assert provider.calls == 2


def test_a_tool_loop_hits_where_it_is_told_to(serve: Serve, provider: Upstream) -> None:
    """With tool calls kept, a second run asks nothing: calls, then the answer to their results."""
    client = serve(turns=Turns(tool_calls="exact")).client()

    def loop(streamed: bool) -> tuple[list[str], str, set[str]]:
        messages: list[Any] = said("What is the weather?")
        more = {"messages": messages, "tools": TOOLS}
        if streamed:
            one, chunks = stream(client, "", **more)
            calls = joined(chunks)
        else:
            one, answer, _ = ask(client, "", **more)
            calls = [call.model_dump() for call in answer.choices[0].message.tool_calls]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        for call in calls:
            city = json.loads(call["function"]["arguments"])["city"]
            content = f"{city}: rain"
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        two, answer, _ = ask(client, "", **more)
        return [one, two], answer.choices[0].message.content, {call["id"] for call in calls}

    cold, text, ids = loop(streamed=True)
    warm, same, fresh = loop(streamed=False)
    again, last, others = loop(streamed=True)
    assert (cold, warm, again) == (["miss"] * 2, ["hit"] * 2, ["hit"] * 2)
    assert text == same == last
    assert len(ids | fresh | others) == 6  # each run has calls of its own
    assert provider.calls == 2


def joined(chunks: list[Any]) -> list[dict[str, Any]]:
    """Tool calls out of a stream's chunks, as clients join them."""
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for part in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
            begun = {"id": part.id, "type": "function", "function": {"arguments": ""}}
            call = calls.setdefault(part.index, begun)
            if part.function.name:
                call["function"]["name"] = part.function.name
            call["function"]["arguments"] += part.function.arguments or ""
    return list(calls.values())


def test_a_changed_tool_result_is_another_request(serve: Serve) -> None:
    """The results of this turn must match, whatever ids the calls have."""
    client = serve().client()

    def told(result: str, name: str) -> str:
        call = {"id": name, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        messages = [
            *said("What is the weather?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": name, "content": result},
        ]
        return ask(client, "", messages=messages, tools=TOOLS)[0]

    assert [told("rain", "call_1"), told("rain", "call_2"), told("sun", "call_3")] == [
        "miss",
        "hit",
        "miss",
    ]


@pytest.mark.parametrize("question", ["It is cut short.", "fail:500", "The stream breaks off here"])
def test_what_is_no_whole_answer_is_not_stored(
    served: Served, provider: Upstream, question: str
) -> None:
    """Cut short, failed, broken off: asked again each time, whole and as a stream."""
    client = served.client()
    for _ in range(2):
        try:
            stream(client, question)
        except (openai.APIError, httpx.HTTPError):
            continue
    assert provider.calls == 2
    assert served.cache.stats().entries == 0


def test_the_asynchronous_client_gets_the_same(served: Served, provider: Upstream) -> None:
    """Whole and streamed, from one event loop."""

    async def run() -> list[str]:
        client = openai.AsyncOpenAI(api_key="a-key", base_url=served.url, max_retries=0)
        create = client.chat.completions.with_raw_response.create
        one = await create(messages=said(PASSWORD), **ASKED)  # type: ignore[arg-type]  # dicts do
        two = await create(messages=said(REWORDED), **ASKED)  # type: ignore[arg-type]  # as above
        chunks = await client.chat.completions.create(
            messages=said(PASSWORD),  # type: ignore[arg-type]  # as above
            stream=True,
            **ASKED,
        )
        text = "".join([one.choices[0].delta.content or "" async for one in chunks])
        await client.close()
        assert text == one.parse().choices[0].message.content
        return [one.headers["x-semcache"], two.headers["x-semcache"]]

    assert asyncio.run(run()) == ["miss", "hit"]
    assert provider.calls == 1


def test_a_hundred_at_once_are_one_question(served: Served, provider: Upstream) -> None:
    """Identical requests in flight wait for one; all get the answer."""
    provider.delay = 0.3
    client = served.client(timeout=60)
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda _: ask(client, PASSWORD), range(100)))
    assert provider.calls == 1
    assert {one.choices[0].message.content for _, one, _ in found} == {"Answer 1 to: " + PASSWORD}
    assert sorted({verdict for verdict, _, _ in found}) == ["hit", "miss"]


def test_a_hundred_different_ones_at_once_are_kept_apart(
    served: Served, provider: Upstream
) -> None:
    """Everybody gets the answer to their own question, streamed or whole."""
    client = served.client(timeout=60)

    def one(number: int) -> bool:
        question = f"What is known of town number {number * 37}?"
        if number % 2:
            return text_of(stream(client, question)[1]).endswith(question)
        return bool(ask(client, question)[1].choices[0].message.content.endswith(question))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(100)))
    assert provider.calls == 100


def test_streams_at_once_share_one_call(served: Served, provider: Upstream) -> None:
    """Twenty readers of one question: one request upstream, the whole text for each."""
    provider.delay, provider.pause = 0.2, 0.01
    client = served.client(timeout=60)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: text_of(stream(client, PASSWORD)[1]), range(20)))
    assert set(found) == {"Answer 1 to: " + PASSWORD}
    assert provider.calls == 1


def test_a_stream_that_is_left_is_not_stored_and_closed_upstream(
    served: Served, provider: Upstream
) -> None:
    """The caller goes after the first chunk: the upstream stops sending, nothing is kept."""
    provider.pause = 0.05
    client = served.client()
    long = "Tell me " + "more and " * 100 + "more."
    with client.chat.completions.create(stream=True, messages=said(long), **ASKED) as chunks:  # type: ignore[arg-type]  # dicts do
        next(iter(chunks))
    waited_for(lambda: (before := provider.sent, time.sleep(0.3), provider.sent == before)[-1])
    assert provider.sent < 100
    assert served.cache.stats().entries == 0
    provider.pause = 0.0
    assert stream(client, long)[0] == "miss"


def waited_for(happens: Any, seconds: float = 20.0) -> None:
    """Until it is true."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"


def test_a_reader_who_leaves_takes_nobody_along(served: Served, provider: Upstream) -> None:
    """Of two who share a stream one leaves early; the other gets it all, and it is stored."""
    provider.pause = 0.03
    client = served.client(timeout=60)
    question = "Tell me about the tallest trees of the world, please."
    with ThreadPoolExecutor(2) as pool:
        stays = pool.submit(stream, client, question)
        waited_for(lambda: provider.calls == 1)
        with client.chat.completions.create(  # type: ignore[call-overload]  # dicts do
            stream=True, messages=said(question), **ASKED
        ) as chunks:
            next(iter(chunks))
        assert text_of(stays.result()[1]).endswith(question)
    assert provider.calls == 1
    assert ask(client, question)[0] == "hit"


def test_callers_who_hang_up_at_once_leave_nothing_behind(
    served: Served, provider: Upstream
) -> None:
    """Before the first event, at any moment after: no stream stays open, nothing is stored."""
    provider.delay, provider.pause = 0.05, 0.02
    host, port = served.address.removeprefix("http://").split(":")
    for number in range(30):
        asked = {**ASKED, "messages": said(f"Tell me about tree {number}, please."), "stream": True}
        content = json.dumps(asked).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
        )
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + content)
            time.sleep(number * 0.005)
    waited_for(lambda: len(served.cache.relays) == 0 and len(served.cache.flights) == 0)
    assert served.cache.stats().entries == 0
    active = "semcache_requests_active 1.0"  # the one that asks
    waited_for(lambda: active in httpx.get(f"{served.address}/metrics").text)


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n"])
def test_providers_write_streams_in_their_own_ways(
    served: Served, provider: Upstream, end: str
) -> None:
    """Azure's first chunk without choices, padding, other line ends, a role in every chunk."""
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    deltas: list[Any] = [{"role": "assistant", "content": "He"}, {"role": "assistant"}]
    deltas += [{"role": "assistant", "content": "llo"}, {}]
    chunks: list[dict[str, Any]] = [
        {**head, "id": "", "model": "", "choices": [], "prompt_filter_results": [{"a": 1}]}
    ]
    chunks += [
        {**head, "obfuscation": "abc", "choices": [{"index": 0, "delta": one}]} for one in deltas
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    provider.raw = [f"data: {json.dumps(one)}{end}" for one in chunks] + [f"data: [DONE]{end}"]
    client = served.client()
    assert text_of(stream(client, PASSWORD)[1]) == "Hello"
    verdict, whole, _ = ask(client, PASSWORD)
    assert verdict == "hit"
    assert whole.choices[0].message.content == "Hello"
    assert whole.choices[0].message.role == "assistant"
    assert not hasattr(whole, "obfuscation")


def test_a_stream_without_an_end_mark_is_whole(served: Served) -> None:
    """Some providers just close behind the last chunk; what finished is stored."""
    client = served.client()
    stream(client, "It has no end mark at all.")
    assert ask(client, "It has no end mark at all.")[0] == "hit"


def test_an_error_inside_a_stream_reaches_the_caller_and_is_not_stored(
    served: Served, provider: Upstream
) -> None:
    """The client raises what the upstream sent."""
    client = served.client()
    for _ in range(2):
        with pytest.raises(openai.APIError, match="overloaded"):
            stream(client, "It errs inside.")
    assert provider.calls == 2


def test_a_stream_that_breaks_off_ends_with_an_error(served: Served) -> None:
    """What arrived is passed on; then the client is told, in place of a silent end."""
    seen: list[Any] = []
    create = served.client().chat.completions.create
    chunks = create(stream=True, messages=said("The stream breaks off here."), **ASKED)  # type: ignore[call-overload]  # dicts do
    with pytest.raises(openai.APIError, match="broke off"):
        for chunk in chunks:
            seen.append(chunk)  # noqa: PERF402  # what came before the error is looked at
    assert text_of(seen)
    assert served.cache.stats().entries == 0
