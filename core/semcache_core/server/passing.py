"""What is passed on as it is: endpoints that are not cached, and requests that are not to be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import anyio
import httpx
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from semcache_core.server import sse
from semcache_core.server.failures import ApiError
from semcache_core.server.replies import Refused, Reply
from semcache_core.server.upstream import Outgoing, Upstream, returned

# What callers who share one account upstream may reach: nothing there shows what another left.
_SHARED = {
    "POST": (
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/responses",
        "/moderations",
        "/images/generations",
        "/images/edits",
        "/audio/speech",
        "/audio/transcriptions",
        "/audio/translations",
        "/rerank",
        "/score",
    ),
    "GET": ("/models", "/models/*"),
}


def check_shared(method: str, path: str) -> None:
    """Raises `ApiError` (403) for what shows or changes the whole account upstream."""
    known = _SHARED.get(method, ())
    if path in known or ("/models/*" in known and path.startswith("/models/")):
        return
    raise ApiError(
        403,
        f"{method} /v1{path} acts on the whole account upstream, which this server's tenants "
        "share; it is not passed on",
        code="not_passed_on",
    )


def check_path(path: str) -> None:
    """Raises `ApiError` (404) for a path that leads out of the upstream's."""
    if any(part in (".", "..") for part in path.split("/")) or "\\" in path:
        raise ApiError(404, "There is no such path.", code="not_found")


class Body(StreamingResponse):
    """A stream whose source is closed when the caller has gone, and not when it is collected."""

    def __init__(self, parts: AsyncGenerator[bytes, None], *args: Any, **kwargs: Any) -> None:
        super().__init__(parts, *args, **kwargs)
        self._parts = parts

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._parts.aclose()


def as_response(reply: Reply, told: Mapping[str, str]) -> Response:
    """A whole reply for the caller."""
    return Response(reply.content, reply.status, {**reply.headers, **told})


async def passed(upstream: Upstream, out: Outgoing, told: Mapping[str, str]) -> Response:
    """The upstream's response, as it comes."""
    async with AsyncExitStack() as stack:
        try:
            response = await stack.enter_async_context(upstream.passing(out))
        except Refused as refused:
            return as_response(refused.reply, told)
        body = _parts(response, stack.pop_all())
        return Body(body, response.status_code, {**returned(response.headers), **told})
    raise AssertionError("unreachable: an exit stack swallows nothing here")


async def _parts(response: httpx.Response, stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    streams = response.headers.get("content-type", "").startswith("text/event-stream")
    try:
        async with stack:
            async for part in response.aiter_bytes():
                yield part
    except Refused as refused:
        if not streams:
            raise  # the connection is cut: the caller must not take a part for the whole
        yield broken_off(refused.reply)


def broken_off(reply: Reply) -> bytes:
    """The last event of a stream that failed when its status was sent already."""
    error: dict[str, Any] = Reply(200, reply.content).answer or {}
    return sse.write(error) + sse.END
