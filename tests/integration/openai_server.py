"""A server on this machine that speaks OpenAI's protocol, so that examples run as printed.

The real clients of LangChain and LlamaIndex talk to it: nothing of them is replaced. It answers
every question with a sentence of its own and remembers what it was asked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Upstream(ThreadingHTTPServer):
    """`asked` holds the last user message of every call, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """What clients call their base URL."""
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def upstream() -> Iterator[Upstream]:
    """A running server."""
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = _last_user_message(request["messages"])
        self.server.asked.append(question)
        answer = f"This is answer number {len(self.server.asked)}, to: {question}"
        if request.get("stream"):
            self._send("text/event-stream", _events(request["model"], answer))
        else:
            self._send("application/json", json.dumps(_completion(request["model"], answer)))

    def log_message(self, *_message: Any) -> None:
        """Keep quiet."""

    def _send(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _last_user_message(messages: list[dict[str, Any]]) -> str:
    content = next(m["content"] for m in reversed(messages) if m["role"] == "user")
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")


def _completion(model: str, answer: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer}
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
    }


def _events(model: str, answer: str) -> str:
    words = [{"role": "assistant", "content": ""}] + [{"content": w} for w in _words(answer)]
    chunks = [_chunk(model, delta, None) for delta in words] + [_chunk(model, {}, "stop")]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def _words(answer: str) -> list[str]:
    first, *others = answer.split(" ")
    return [first, *(f" {word}" for word in others)]


def _chunk(model: str, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
