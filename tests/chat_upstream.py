"""An upstream on this machine that speaks OpenAI's protocol, for the server to stand in front of.

It is the provider in every test of the server: over real sockets, with streams, tools, embeddings
and responses, and with the ways in which providers fail. What it does is told by the request itself
(`fail:429` in a question) or set on `Upstream`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class Upstream:
    """The provider's state: what it was asked, and how it is to behave."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.delay = 0.0
        """Seconds before it answers."""
        self.pause = 0.0
        """Seconds between two events of a stream."""
        self.keys: set[str] | None = None
        """Bearers that are let in; None: all."""
        self.vectors: int | None = None
        """How many embeddings it sends at most; None: one a text, as it should."""
        self.raw: list[str] | None = None
        """What it streams, whatever it is asked."""
        self.sent = 0
        """Events of streams that were sent."""
        self.url = ""

    @property
    def calls(self) -> int:
        return len(self.asked)

    @cached_property
    def app(self) -> Starlette:
        """Its endpoints."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/completions", self.complete, methods=["POST"]),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
                Route("/v1/responses", self.respond, methods=["POST"]),
                Route("/v1/{path:path}", self.anything, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _heard(self, request: Request) -> dict[str, Any] | Response:
        """The request, or the failure that it asks for."""
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.keys is not None and bearer not in self.keys:
            return _error(401, "Incorrect API key provided", "invalid_api_key")
        raw = await request.body()
        body = json.loads(raw)
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        self.paths.append(request.url.path)
        await asyncio.sleep(self.delay)
        text = raw.decode()
        if "fail:" in text:
            status = int(text.partition("fail:")[2][:3])
            return _error(status, f"it fails with {status}", "as_asked", {"retry-after": "7"})
        return body

    async def chat(self, request: Request) -> Response:
        body = await self._heard(request)
        if isinstance(body, Response):
            return body
        choice = _choice(body, len(self.asked))
        if body.get("stream"):
            events = iter(self.raw) if self.raw else _chat_events(body, choice)
            return StreamingResponse(self._paced(events), media_type="text/event-stream")
        choices = [{**choice, "index": n} for n in range(body.get("n") or 1)]
        whole = {**_head(body, "chat.completion"), "choices": choices, "usage": _USAGE}
        return JSONResponse(whole, headers={"x-request-id": f"req-{len(self.asked)}"})

    async def complete(self, request: Request) -> Response:
        body = await self._heard(request)
        if isinstance(body, Response):
            return body
        text = f" Answer {len(self.asked)} to: {body['prompt']}"
        if body.get("stream"):
            events = _text_events(body, text)
            return StreamingResponse(self._paced(events), media_type="text/event-stream")
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
        whole = {**_head(body, "text_completion"), "choices": [choice], "usage": _USAGE}
        return JSONResponse(whole)

    async def embed(self, request: Request) -> Response:
        body = await self._heard(request)
        if isinstance(body, Response):
            return body
        given = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [
            {"object": "embedding", "index": n, "embedding": [float(len(one)), 0.5]}
            for n, one in enumerate(given[: self.vectors])
        ]
        usage = {"prompt_tokens": len(given), "total_tokens": len(given)}
        return JSONResponse(
            {"object": "list", "data": data, "model": body["model"], "usage": usage}
        )

    async def respond(self, request: Request) -> Response:
        body = await self._heard(request)
        if isinstance(body, Response):
            return body
        response = _response(body, len(self.asked))
        if body.get("stream"):
            events = _response_events(response)
            return StreamingResponse(self._paced(events), media_type="text/event-stream")
        return JSONResponse(response)

    async def anything(self, request: Request) -> Response:
        self.paths.append(request.url.path)
        self.headers.append(dict(request.headers))
        if request.url.path == "/v1/broken":
            return StreamingResponse(self._paced(iter(["half", "break"])))
        if request.url.path == "/v1/models":
            return JSONResponse({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})
        return JSONResponse({"path": request.url.path, "size": len(await request.body())})

    async def _paced(self, events: Iterator[str]) -> AsyncIterator[str]:
        for event in events:
            if event.startswith("break"):
                raise RuntimeError("the upstream breaks off")
            yield event
            self.sent += 1
            await asyncio.sleep(self.pause)


_USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


def _error(
    status: int, message: str, code: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    error = {"message": message, "type": "upstream", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-local",
        "object": kind,
        "created": 1_700_000_000,
        "model": body["model"],
        "system_fingerprint": "fp_local",
    }


def last_question(body: dict[str, Any]) -> str:
    """The last user message's text."""
    content = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _choice(body: dict[str, Any], number: int) -> dict[str, Any]:
    """Tools are called when they are offered and their results are not there yet."""
    question = last_question(body)
    done = any(message["role"] == "tool" for message in body["messages"])
    if body.get("tools") and "weather" in question and not done:
        calls = [
            {
                "id": f"call_{number}_{place}",
                "type": "function",
                "function": {"name": "weather", "arguments": json.dumps({"city": city})},
            }
            for place, city in enumerate(("Oslo", "Rome"))
        ]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    ended = "length" if "cut short" in question else "stop"
    message = {"role": "assistant", "content": f"Answer {number} to: {question}", "refusal": None}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": ended}


def _event(value: dict[str, Any], name: str = "") -> str:
    data = f"data: {json.dumps(value)}\n\n"
    return f"event: {name}\n{data}" if name else data


def _chat_events(body: dict[str, Any], choice: dict[str, Any]) -> Iterator[str]:
    head = _head(body, "chat.completion.chunk")
    wanted = (body.get("stream_options") or {}).get("include_usage")
    more = {"usage": None} if wanted else {}
    message = choice["message"]
    question = last_question(body)
    yield ": the line is open\n\n"
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    content = message["content"] or ""
    deltas += [{"content": word} for word in content.replace(" ", "\0 ").split("\0") if word]
    for place, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        begun = {**call, "index": place, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        for part in (arguments[:4], arguments[4:]):
            deltas.append({"tool_calls": [{"index": place, "function": {"arguments": part}}]})
    for number, delta in enumerate(deltas):
        if "breaks off" in question and number == 3:
            yield "break"
        one = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield _event({**head, "choices": [one], **more})
        if "errs inside" in question:
            yield _event({"error": {"message": "overloaded", "code": "overloaded"}})
            return
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    yield _event({**head, "choices": [last], **more})
    if wanted:
        yield _event({**head, "choices": [], "usage": _USAGE})
    if "no end mark" not in question:
        yield "data: [DONE]\n\n"


def _text_events(body: dict[str, Any], text: str) -> Iterator[str]:
    head = _head(body, "text_completion")
    for word in text.replace(" ", "\0 ").split("\0"):
        one = {"index": 0, "text": word, "logprobs": None, "finish_reason": None}
        yield _event({**head, "choices": [one]})
    last = {"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}
    yield _event({**head, "choices": [last]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event({**head, "choices": [], "usage": _USAGE})
    yield "data: [DONE]\n\n"


def _response(body: dict[str, Any], number: int) -> dict[str, Any]:
    given = body["input"]
    asked = given if isinstance(given, str) else given[-1].get("content", "the results")
    output: list[dict[str, Any]] = [{"type": "reasoning", "id": f"rs_{number}", "summary": []}]
    if body.get("tools") and "weather" in str(asked):
        call = {"name": "weather", "arguments": '{"city": "Oslo"}', "status": "completed"}
        call |= {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
        output.append(call)
    else:
        part = {"type": "output_text", "text": f"Answer {number} to: {asked}", "annotations": []}
        message = {"type": "message", "id": f"msg_{number}", "status": "completed"}
        output.append({**message, "role": "assistant", "content": [part]})
    usage = {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}
    usage |= {"input_tokens_details": {"cached_tokens": 0}}
    usage |= {"output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "usage": usage,
    }


def _response_events(response: dict[str, Any]) -> Iterator[str]:
    """The events that matter to who joins them: the first and the last hold whole responses."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    named = [("response.created", {"response": begun})]
    for index, item in enumerate(response["output"]):
        at = {"output_index": index, "item": item}
        named += [("response.output_item.added", at), ("response.output_item.done", at)]
    named.append(("response.completed", {"response": response}))
    for number, (name, value) in enumerate(named):
        yield _event({"type": name, "sequence_number": number, **value}, name)


@contextmanager
def listening(app: Any, **how: Any) -> Iterator[str]:
    """An ASGI application on a free port of this machine; yields its address."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(512)
        config = uvicorn.Config(
            app, access_log=False, **{"lifespan": "auto", "log_level": "warning", **how}
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: server.run(sockets=[sock]), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


class Providers:
    """One address at which each test finds a provider of its own."""

    def __init__(self) -> None:
        self.current = Upstream()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.current.app(scope, receive, send)


@contextmanager
def providers() -> Iterator[Callable[[], Upstream]]:
    """A running server, and what makes a new provider behind it."""
    behind = Providers()
    # What sleeps for a test of timeouts is not waited for.
    quiet = {"timeout_graceful_shutdown": 1, "log_level": "critical", "lifespan": "off"}
    with listening(behind, **quiet) as address:

        def renew() -> Upstream:
            behind.current = Upstream()
            behind.current.url = f"{address}/v1"
            return behind.current

        yield renew
