"""The other endpoints: plain completions, embeddings, responses, and this server's own."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from chat_upstream import Upstream
from prometheus_client.parser import text_string_to_metric_families

from semcache_core.cache import SemanticCache
from semcache_core.turns import Turns

from .conftest import Serve, Served, said

QUESTION = "How do I reset my password?"
REWORDED = "How can I reset my password?"
WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


# -- plain completions ---------------------------------------------------------------------------


def complete(client: openai.OpenAI, prompt: Any, **more: Any) -> tuple[str, Any]:
    """What the server says of it, and the completion."""
    raw = client.completions.with_raw_response.create(model="old", prompt=prompt, **more)
    return raw.headers["x-semcache"], raw.parse()


def test_plain_completions_are_cached(served: Served, provider: Upstream) -> None:
    """Reworded when the prompt is a question, else exactly; streams share the entry."""
    client = served.client()
    assert complete(client, QUESTION)[0] == "miss"
    verdict, warm = complete(client, REWORDED)
    assert verdict == "hit"
    assert warm.choices[0].text == f" Answer 1 to: {QUESTION}"
    chunks = list(
        client.completions.create(
            model="old", prompt=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(one.choices[0].text for one in chunks if one.choices) == warm.choices[0].text
    assert chunks[-1].usage.total_tokens == 30
    assert chunks[-2].choices[0].finish_reason == "stop"
    template = f"Answer briefly.\n\n{QUESTION}"
    assert [complete(client, template)[0] for _ in range(2)] == ["miss", "hit"]
    assert complete(client, f"Answer briefly.\n\n{REWORDED}")[0] == "miss"
    assert complete(client, QUESTION, echo=True)[0] == "miss"
    assert complete(client, REWORDED, echo=True)[0] == "miss"
    assert complete(client, [1, 2, 3])[0] == "miss"
    assert provider.calls == 6


def test_a_plain_stream_fills_the_cache(served: Served, provider: Upstream) -> None:
    """And is served to who asks for a whole answer."""
    client = served.client()
    chunks = list(client.completions.create(model="old", prompt=QUESTION, stream=True))
    verdict, warm = complete(client, QUESTION)
    assert verdict == "hit"
    assert warm.choices[0].text == "".join(one.choices[0].text for one in chunks)
    assert warm.usage.total_tokens == 30
    assert warm.object == "text_completion"
    assert provider.calls == 1


# -- embeddings ----------------------------------------------------------------------------------


def embed(served: Served, given: Any, **more: Any) -> httpx.Response:
    """A request for embeddings."""
    body = {"model": "small", "input": given, **more}
    return httpx.post(f"{served.url}/embeddings", json=body)


def test_each_text_is_embedded_once(served: Served, provider: Upstream) -> None:
    """Of a list only the unknown ones go upstream; the order is the request's."""
    assert embed(served, ["a", "bb"]).headers["x-semcache"] == "miss"
    partly = embed(served, ["ccc", "bb", "a"])
    assert provider.asked[-1]["input"] == ["ccc"]
    assert partly.headers["x-semcache-reason"] == "2 of 3 embeddings are known"
    data = partly.json()["data"]
    assert [one["embedding"][0] for one in data] == [3.0, 2.0, 1.0]
    assert [one["index"] for one in data] == [0, 1, 2]
    assert partly.json()["usage"]["total_tokens"] == 1
    one = embed(served, "bb")
    assert one.headers["x-semcache"] == "hit"
    assert one.json()["data"][0]["embedding"] == [2.0, 0.5]
    assert embed(served, ["a", "bb"]).headers["x-semcache"] == "hit"
    assert provider.calls == 2


def test_an_embedding_is_of_these_very_bytes(served: Served, provider: Upstream) -> None:
    """Another case, Unicode form, model or size is another vector; a likeness is of no use."""
    for given, more in (
        ("café", {}),
        ("cafe\u0301", {}),
        ("Café", {}),
        ("café", {"dimensions": 2}),
        ("café", {"encoding_format": "base64"}),
        ("café", {"model": "large"}),
    ):
        assert embed(served, given, **more).headers["x-semcache"] == "miss"
    assert embed(served, "café").headers["x-semcache"] == "hit"
    assert provider.calls == 6


def test_the_client_gets_its_vectors(served: Served) -> None:
    """OpenAI's own client, with lists of tokens as well."""
    client = served.client()
    for _ in range(2):
        found = client.embeddings.create(
            model="small", input=[[1, 2], [3]], encoding_format="float"
        )
        assert [one.embedding for one in found.data] == [[2.0, 0.5], [1.0, 0.5]]


def test_embeddings_that_fail_are_not_stored(served: Served, provider: Upstream) -> None:
    """The error comes back as it is; what is no list of texts goes upstream as it is."""
    assert embed(served, ["a", "fail:429"]).status_code == 429
    assert embed(served, {"odd": "fail:422"}).status_code == 422
    assert embed(served, []).headers["x-semcache"] == "bypass"
    assert embed(served, "a").headers["x-semcache"] == "miss"


def test_headers_hold_for_embeddings(served: Served, provider: Upstream) -> None:
    """Skip, and only if cached."""
    url, body = f"{served.url}/embeddings", {"model": "small", "input": "a"}
    only = httpx.post(url, json=body, headers={"x-semcache-only-if-cached": "true"})
    assert only.status_code == 504
    skipped = httpx.post(url, json=body, headers={"x-semcache-skip": "true"})
    assert skipped.headers["x-semcache"] == "bypass"
    assert embed(served, "a").headers["x-semcache"] == "miss"


def test_an_upstream_that_answers_other_texts_is_not_believed(
    served: Served, provider: Upstream
) -> None:
    """Fewer vectors than texts: passed on, and none of them stored."""
    provider.vectors = 1
    response = embed(served, ["a", "bb"])
    assert response.headers["x-semcache"] == "bypass"
    assert len(response.json()["data"]) == 1
    assert served.cache.stats().entries == 0


# -- responses -----------------------------------------------------------------------------------


def respond(client: openai.OpenAI, given: Any, **more: Any) -> tuple[str, Any]:
    """What the server says of it, and the response."""
    how = {"model": "gpt-5", "input": given, "store": False, **more}
    raw = client.responses.with_raw_response.create(**how)
    return raw.headers["x-semcache"], raw.parse()


def test_responses_that_the_provider_does_not_keep_are_cached(
    served: Served, provider: Upstream
) -> None:
    """A text or a list of items, reworded, with instructions that must match."""
    client = served.client()
    assert respond(client, QUESTION)[0] == "miss"
    verdict, warm = respond(client, REWORDED)
    assert verdict == "hit"
    assert warm.output_text == f"Answer 1 to: {QUESTION}"
    assert warm.id != "resp_1"
    assert respond(client, [{"role": "user", "content": REWORDED}])[0] == "hit"
    parts = [{"type": "input_text", "text": QUESTION}]
    assert respond(client, [{"role": "user", "content": parts}])[0] == "hit"
    assert respond(client, QUESTION, instructions="Be brief.")[0] == "miss"
    assert respond(client, QUESTION, temperature=0.1)[0] == "miss"
    assert provider.calls == 3


def test_a_streamed_response_is_the_same_entry(served: Served, provider: Upstream) -> None:
    """The client's own accumulation of the replayed events gives the stored response."""
    client = served.client()
    with client.responses.stream(model="gpt-5", input=QUESTION, store=False) as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.completed"
    verdict, whole = respond(client, QUESTION)
    assert verdict == "hit"
    with client.responses.stream(model="gpt-5", input=REWORDED, store=False) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    deltas = [one.delta for one in events if one.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert len(deltas) > 3
    numbers = [one.sequence_number for one in events if hasattr(one, "sequence_number")]
    assert numbers == sorted(numbers)
    assert provider.calls == 1


@pytest.mark.parametrize(
    "state",
    [
        {"store": True},
        {"store": None},
        {"previous_response_id": "resp_0"},
        {"conversation": "conv_0"},
        {"background": True},
        {"prompt": {"id": "pmpt_0"}},
        {"tools": [{"type": "web_search"}]},
    ],
    ids=lambda state: next(iter(state)),
)
def test_what_the_provider_keeps_is_passed_on(
    served: Served, provider: Upstream, state: dict[str, Any]
) -> None:
    """Each time, and it is told why."""
    body = {"model": "gpt-5", "input": QUESTION, "store": False, **state}
    for _ in range(2):
        response = httpx.post(f"{served.url}/responses", json=body)
        assert response.headers["x-semcache"] == "bypass"
        assert response.headers["x-semcache-reason"]
        assert response.json()["status"] == "completed"
    assert provider.calls == 2


def test_a_responses_tool_loop(serve: Serve, provider: Upstream) -> None:
    """Calls are kept where that is wanted, with new ids; their results must match."""
    client = serve(turns=Turns(tool_calls="exact")).client()

    def loop() -> tuple[list[str], Any]:
        items: list[Any] = [{"role": "user", "content": "What is the weather?"}]
        one, response = respond(client, items, tools=[WEATHER])
        [call] = [item for item in response.output if item.type == "function_call"]
        items += [item.model_dump(exclude_none=True) for item in response.output]
        done = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        two = respond(client, [*items, done], tools=[WEATHER])[0]
        return [one, two], call.call_id

    cold, first = loop()
    warm, second = loop()
    assert (cold, warm) == (["miss", "miss"], ["hit", "hit"])
    assert first != second
    kinds = [
        event.type
        for event in client.responses.create(
            model="gpt-5",
            input=[{"role": "user", "content": "What is the weather?"}],
            tools=[WEATHER],
            store=False,
            stream=True,
        )
    ]
    assert "response.function_call_arguments.done" in kinds
    assert provider.calls == 2


# -- this server's own ---------------------------------------------------------------------------


def test_get_put_and_flush_as_gptcaches_server_has_them(served: Served) -> None:
    """The same bodies; a reworded prompt finds the answer, an unknown one gives null."""
    with httpx.Client(base_url=served.address) as client:
        put = client.post("/put", json={"prompt": QUESTION, "answer": "Use the link."})
        assert (put.status_code, put.json()) == (200, "successfully update the cache")
        assert client.post("/get", json={"prompt": QUESTION}).json() == {
            "prompt": QUESTION,
            "answer": "Use the link.",
        }
        found = client.post("/get", json={"prompt": REWORDED})
        assert found.json()["answer"] == "Use the link."
        assert found.headers["x-semcache-kind"] == "semantic"
        assert client.post("/get", json={"prompt": "What is rain?"}).json()["answer"] is None
        assert client.post("/flush").json() == "successfully flush the cache"


def test_put_replaces_and_takes_any_json(served: Served) -> None:
    """The newer answer wins; `exact` keeps answers apart; Python's own cache finds them."""
    with httpx.Client(base_url=served.address) as client:
        for answer in ("old", {"new": [1, None]}):
            client.post("/put", json={"prompt": QUESTION, "answer": answer})
        assert client.post("/get", json={"prompt": QUESTION}).json()["answer"] == {"new": [1, None]}
        other = client.post("/get", json={"prompt": QUESTION, "exact": "ann"})
        assert other.json()["answer"] is None
        assert served.cache.get(REWORDED) == {"new": [1, None]}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/get", {}, "prompt: give a text"),
        ("/get", {"prompt": 3}, "prompt: give a text"),
        ("/put", {"prompt": "a"}, "answer: it is missing"),
        ("/put", {"prompt": "a", "answr": 1}, "answr: no such field"),
        ("/search", {"prompt": " "}, "prompt: give a text"),
    ],
)
def test_wrong_bodies_are_told(served: Served, path: str, body: Any, words: str) -> None:
    """With a 400."""
    response = httpx.post(served.address + path, json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_another_sites_page_cannot_write(served: Served) -> None:
    """Browsers send such requests without asking first only in types that are refused."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        content = json.dumps({"prompt": QUESTION, "answer": "evil"})
        response = httpx.post(
            f"{served.address}/put", content=content, headers={"content-type": kind}
        )
        assert response.status_code == 415
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    preflight = httpx.request("OPTIONS", f"{served.address}/put", headers=asked)
    assert "access-control-allow-origin" not in preflight.headers
    assert served.cache.stats().entries == 0


def test_headers_hold_for_get_and_put(served: Served) -> None:
    """Skip, only if cached, a time to live, a namespace."""
    with httpx.Client(base_url=served.address) as client:
        body = {"prompt": QUESTION, "answer": "x"}
        client.post("/put", json=body, headers={"x-semcache-skip": "true"})
        only = {"x-semcache-only-if-cached": "true"}
        assert client.post("/get", json={"prompt": QUESTION}, headers=only).status_code == 504
        client.post("/put", json=body, headers={"x-semcache-namespace": "a"})
        assert client.post("/get", json={"prompt": QUESTION}).json()["answer"] is None
        named = {"x-semcache-namespace": "a"}
        assert client.post("/get", json={"prompt": QUESTION}, headers=named).json()["answer"] == "x"
        skipped = client.post("/get", json={"prompt": QUESTION}, headers={"x-semcache-skip": "1"})
        assert skipped.headers["x-semcache"] == "bypass"


def test_search_tells_what_would_be_hit_and_why(served: Served, provider: Upstream) -> None:
    """For each scope; rejected candidates with the guard's reason; nothing is counted."""
    client = served.client()
    headers = {"authorization": "Bearer a-key"}
    for model in ("gpt-4o", "gpt-5"):
        client.chat.completions.create(model=model, messages=said("Where is order 4711?"))  # type: ignore[arg-type]  # dicts do
    before = served.cache.stats().lookups
    url = f"{served.address}/search"
    both = httpx.post(url, json={"prompt": "Where's order 4711?"}, headers=headers).json()["scopes"]
    assert [one["hit"] for one in both] == [True, True]
    one = httpx.post(
        url, json={"prompt": "Where is order 4712?", "model": "gpt-5"}, headers=headers
    ).json()["scopes"]
    assert [scope["model"] for scope in one] == ["gpt-5"]
    assert not one[0]["hit"]
    assert one[0]["candidates"][0]["rejected"]
    assert one[0]["candidates"][0]["why"]
    assert served.cache.stats().lookups == before
    assert provider.calls == 2


def test_metrics_are_prometheus_text(served: Served) -> None:
    """Its own parser reads them; the counts are those of the requests made; no text is in them."""
    client = served.client("sk-secret")
    for question in (QUESTION, QUESTION, REWORDED):
        client.chat.completions.create(model="gpt-4o", messages=said(question))  # type: ignore[arg-type]  # dicts do
    httpx.post(f"{served.url}/chat/completions", json={"model": "m", "messages": said("fail:500")})
    text = httpx.get(f"{served.address}/metrics").text
    found = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def count(name: str, *labels: str) -> float:
        return found[f"semcache_{name}", frozenset(labels)]

    assert count("requests_total", "/v1/chat/completions", "200", "hit") == 2
    assert count("requests_total", "/v1/chat/completions", "500", "miss") == 1
    assert count("request_seconds_count", "/v1/chat/completions", "hit") == 2
    assert count("hits_total", "exact") == count("hits_total", "semantic") == 1
    assert count("entries") == 1
    assert count("tokens_saved_total") == 60
    assert "secret" not in text
    assert "password" not in text


def test_health_says_whether_the_record_can_be_read(served: Served) -> None:
    """Live as long as it answers; ready as long as the cache is open."""
    for path in ("/health", "/health/live", "/health/ready"):
        assert httpx.get(served.address + path).json() == {"status": "ok"}
    served.cache.close()
    assert httpx.get(f"{served.address}/health/live").status_code == 200
    failing = httpx.get(f"{served.address}/health/ready")
    assert (failing.status_code, failing.json()["status"]) == (503, "failing")


def test_statistics_can_be_left_out(serve: Serve) -> None:
    """No page, no counts, no search; health stays."""
    served = serve(statistics=False)
    for path in ("/", "/stats", "/metrics"):
        assert httpx.get(served.address + path).status_code == 404
    assert httpx.get(f"{served.address}/health").status_code == 200


def test_all_endpoints_at_once(served: Served, provider: Upstream) -> None:
    """A mix of requests from many threads: each gets what it asked for."""
    client = served.client(timeout=60)

    def one(number: int) -> bool:
        question = f"What is known of town number {number % 5}?"
        kind = number % 4
        if kind == 0:
            made = client.chat.completions.create(model="m", messages=said(question))  # type: ignore[arg-type]  # dicts do
            return str(made.choices[0].message.content).endswith(question)
        if kind == 1:
            return bool(complete(client, question)[1].choices[0].text.endswith(question))
        if kind == 2:
            return bool(respond(client, question)[1].output_text.endswith(question))
        return bool(embed(served, question).json()["data"][0]["embedding"][0] == len(question))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(200)))
    assert provider.calls == 20


def test_one_file_serves_python_and_the_server(serve: Serve, tmp_path: Any, minilm: Any) -> None:
    """A server's record is a cache's folder like any other."""
    served = serve({"path": tmp_path})
    httpx.post(f"{served.address}/put", json={"prompt": QUESTION, "answer": "x"})

    async def look() -> Any:
        async with SemanticCache(tmp_path, embedder=minilm) as cache:
            return await cache.aget(REWORDED)

    assert asyncio.run(look()) == "x"
