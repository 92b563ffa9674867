"""An upstream that fails, is slow, or is not there; and requests that cannot be."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from chat_upstream import Upstream

from .conftest import Serve, Served, said

CHAT = "/chat/completions"


def body(question: str, **more: Any) -> dict[str, Any]:
    """A request for a chat completion."""
    return {"model": "gpt-4o", "messages": said(question), **more}


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstreams_error_is_passed_on_and_not_stored(
    served: Served, provider: Upstream, status: int, streamed: bool
) -> None:
    """The same status, body and Retry-After, each time asked anew."""
    for _ in range(2):
        response = httpx.post(served.url + CHAT, json=body(f"fail:{status}", stream=streamed))
        assert response.status_code == status
        assert response.json()["error"]["message"] == f"it fails with {status}"
        assert response.headers["retry-after"] == "7"
        assert response.headers["x-semcache"] == "miss"
    assert provider.calls == 2
    assert served.cache.stats().entries == 0


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_is_down_is_a_502(serve: Serve, streamed: bool) -> None:
    """In OpenAI's form, so that clients raise what they raise for a provider's failure."""
    served = serve(upstream=f"http://127.0.0.1:{free_port()}/v1")
    response = httpx.post(served.url + CHAT, json=body("Hello?", stream=streamed))
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_unreachable"
    with pytest.raises(openai.InternalServerError):
        served.client().chat.completions.create(model="m", messages=said("Hello?"))  # type: ignore[arg-type]  # dicts do
    assert httpx.get(served.url + "/models").status_code == 502


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upstream_that_is_silent_is_a_504(
    serve: Serve, provider: Upstream, streamed: bool
) -> None:
    """After the timeout, and not after the upstream's own time."""
    provider.delay = 20.0
    served = serve(timeout=0.3)
    began = time.monotonic()
    response = httpx.post(served.url + CHAT, json=body("Hello?", stream=streamed), timeout=15)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "upstream_timeout"
    assert time.monotonic() - began < 10
    provider.delay = 0.0
    assert httpx.post(served.url + CHAT, json=body("Hello?")).status_code == 200


def test_an_upstream_that_accepts_no_connection_is_a_504(serve: Serve) -> None:
    """A full backlog: the address is there, and nobody opens."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        served = serve(upstream=f"http://127.0.0.1:{port}/v1", connect_timeout=0.3, timeout=0.3)
        response = httpx.post(served.url + CHAT, json=body("Hello?"), timeout=15)
        for one in waiting:
            one.close()
    assert response.status_code == 504
    assert "0.3 s" in response.json()["error"]["message"]


def test_an_upstream_that_hangs_up_is_a_502(serve: Serve) -> None:
    """A connection that is closed without a word."""
    with socket.socket() as rude:
        rude.bind(("127.0.0.1", 0))
        rude.listen(8)

        def hang_up() -> None:
            rude.accept()[0].close()

        closing = threading.Thread(target=hang_up)
        closing.start()
        served = serve(upstream=f"http://127.0.0.1:{rude.getsockname()[1]}/v1")
        response = httpx.post(served.url + CHAT, json=body("Hello?"), timeout=15)
        closing.join()
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_failed"


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_passed_on_and_breaks_off_is_not_taken_for_whole(
    served: Served, streamed: bool
) -> None:
    """A stream ends with an error event, anything else without its end."""
    asked = body("The stream breaks off here.", stream=True)
    if not streamed:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{served.url}/broken", json={})
        return
    headers = {"x-semcache-skip": "true"}
    events = httpx.post(served.url + CHAT, json=asked, headers=headers).text.strip().split("\n\n")
    assert "upstream_failed" in events[-1]


def test_hits_are_served_while_the_upstream_is_down(serve: Serve, provider: Upstream) -> None:
    """What is stored needs no provider."""
    served = serve(timeout=0.3)
    assert httpx.post(served.url + CHAT, json=body("What is rain?")).status_code == 200
    provider.delay = 20.0
    again = httpx.post(served.url + CHAT, json=body("What is rain?"))
    assert again.headers["x-semcache"] == "hit"
    other = httpx.post(served.url + CHAT, json=body("Who is the king of Spain?"), timeout=15)
    assert other.status_code == 504


def test_callers_who_wait_for_one_that_fails_get_their_own_answer(
    served: Served, provider: Upstream
) -> None:
    """A failure is not shared as if it were an answer; everybody hears the provider."""
    provider.delay = 0.1
    with ThreadPoolExecutor(10) as pool:
        found = list(
            pool.map(lambda _: httpx.post(served.url + CHAT, json=body("fail:429")), range(10))
        )
    assert {one.status_code for one in found} == {429}
    assert provider.calls == 10


def test_what_is_no_json_answer_is_passed_on(served: Served, provider: Upstream) -> None:
    """A path whose answer is unknown here, with its query and its body."""
    response = httpx.post(served.url + "/audio/speech?voice=x", content=b"\0" * 10)
    assert response.json() == {"path": "/v1/audio/speech", "size": 10}
    assert response.headers["x-semcache"] == "bypass"
    assert httpx.get(served.url + "/models").json()["data"][0]["id"] == "gpt-4o"


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 400, "invalid_json"),
        (b'{"model": "a", "model": "b"}', "application/json", 400, "invalid_json"),
        (b"[" * 100_000, "application/json", 400, "invalid_json"),
        (b"\xff\xfe\x00", "application/json", 400, "invalid_json"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b" " * 3000, "application/json", 413, "request_too_large"),
    ],
)
def test_a_request_that_cannot_be_is_a_clear_error(
    serve: Serve, provider: Upstream, content: bytes, kind: str, status: int, code: str
) -> None:
    """In OpenAI's form; nothing goes upstream."""
    served = serve(max_body=2000 if code == "request_too_large" else 1_000_000)
    headers = {"content-type": kind} if kind else {}
    response = httpx.post(served.url + CHAT, content=content, headers=headers)
    error = response.json()["error"]
    assert response.status_code == status
    assert error["code"] == code
    assert error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert provider.calls == 0


def test_a_body_without_a_length_is_limited_too(serve: Serve) -> None:
    """What is sent in chunks is counted as it comes."""
    served = serve(max_body=2000)
    parts = (b"x" * 1000 for _ in range(10))
    headers = {"content-type": "application/json"}
    response = httpx.post(served.url + CHAT, content=parts, headers=headers)
    assert response.status_code == 413


def test_a_compressed_body_is_refused(served: Served) -> None:
    """Rather than unpacked without a limit."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = httpx.post(served.url + CHAT, content=b"...", headers=headers)
    assert response.status_code == 415


@pytest.mark.parametrize(
    "odd",
    [
        {"model": "m"},
        {"model": "m", "messages": []},
        {"model": "m", "messages": "hello"},
        {"model": "m", "messages": ["hello"]},
        {"model": "m", "messages": [{"role": "user"}]},
        {"model": "m", "messages": [{"role": "user", "content": [1, None]}]},
        {"model": "m", "messages": [{"content": {"a": 1}, "tool_calls": 3}]},
        {"model": ["m"], "messages": [{"role": ["user"], "content": 1}], "stream": "yes"},
        {"model": "m", "messages": said("Hello?"), "stream": True, "stream_options": ["x"]},
    ],
)
def test_the_upstream_is_the_judge_of_odd_requests(
    served: Served, provider: Upstream, odd: dict[str, Any]
) -> None:
    """What is not understood here goes on as it is, and the upstream's word is passed back."""
    response = httpx.post(served.url + CHAT, json={**odd, "note": "fail:422"})
    assert response.status_code == 422
    assert "it fails with" in response.json()["error"]["message"]
    assert provider.calls == 1


@pytest.mark.parametrize("path", ["/v1/../secret", "/v1/a/%2e%2e/b", "/v1/%2e%2e/b", "/v1/a%5Cb"])
def test_no_path_leads_out_of_the_upstreams(served: Served, provider: Upstream, path: str) -> None:
    """Credentials must not be sent to another place of the same host."""
    with socket.create_connection(("127.0.0.1", int(served.address.rpartition(":")[2]))) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert b" 404 " in answer.splitlines()[0]
    assert provider.paths == []


def test_unknown_paths_and_methods_are_told(served: Served) -> None:
    """A client with a wrong base URL is told what is wrong."""
    missing = httpx.post(served.address + "/chat/completions", json={})
    assert missing.status_code == 404
    assert "/v1" in missing.json()["error"]["message"]
    assert httpx.get(served.address + "/put").status_code == 405


def test_headers_between_neighbours_are_not_passed_on(served: Served, provider: Upstream) -> None:
    """Cookies, connections and this server's own headers stay here; the caller's others go on."""
    headers = {"cookie": "a=b", "x-semcache-ttl": "60", "openai-beta": "x", "te": "trailers"}
    headers |= {"connection": "x-private", "x-private": "1", "x-trace": "2"}
    response = httpx.post(served.url + CHAT, json=body("What is rain?"), headers=headers)
    sent = provider.headers[0]
    assert sent["openai-beta"] == "x"
    assert sent["x-trace"] == "2"
    assert not {"cookie", "x-semcache-ttl", "te", "x-private"} & sent.keys()
    assert sent["host"] == provider.url.split("/")[2]
    assert response.headers["x-request-id"] == "req-1"


def test_a_cache_that_fails_is_not_in_the_way(serve: Serve, provider: Upstream) -> None:
    """The embedder breaks: questions are answered all the same, and it is counted."""
    served = serve({"embedder": Breaking()})
    for question in ("What is rain?", "Who is the king of Spain?"):
        response = httpx.post(served.url + CHAT, json=body(question))
        assert response.status_code == 200
    assert provider.calls == 2
    assert served.cache.stats().errors


class Breaking:
    """An embedder that works once and never again."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("out of memory")
        return [[1.0, 0.0] for _ in texts]
