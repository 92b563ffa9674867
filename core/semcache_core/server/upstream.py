"""The way to the model: requests passed on, replies and streams brought back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx

from semcache_core.server import sse
from semcache_core.server.replies import Refused, Reply, failed
from semcache_core.server.settings import ServerSettings
from semcache_core.server.tenants import CREDENTIALS
from semcache_core.server.wishes import PREFIX

log = logging.getLogger("semcache.server")
_DRAIN = (
    1.0  # seconds to wait for the end of a stream behind its last event, to keep the connection
)
# RFC 9110, section 7.6.1: these are between two neighbours.
_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_HOP |= {"proxy-authenticate", "proxy-authorization", "proxy-connection"}
# Ours to say. Cookies are of this server's other pages, and no API's way in.
_OURS = {"host", "content-length", "accept-encoding", "cookie", "expect", *CREDENTIALS}
# What httpx has undone, and what no upstream may put on this server's name.
_UNDONE = {"content-length", "content-encoding", "set-cookie", "server", "date", "alt-svc"}
_UNDONE |= {"strict-transport-security"}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as the upstream is to be sent it."""

    method: str
    path: str
    """Behind the upstream's URL, with its query."""
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(default=b"", repr=False)


def forwarded(headers: Iterable[tuple[str, str]], credentials: Mapping[str, str]) -> dict[str, str]:
    """A caller's headers for the upstream, with the credentials to be used there."""
    sent = list(headers)
    named = {n.strip().lower() for k, v in sent if k == "connection" for n in v.split(",")}
    kept = {
        name: value
        for name, value in sent
        if name not in _HOP | _OURS | named and not name.startswith(PREFIX)
    }
    return {**kept, **credentials}


def returned(headers: httpx.Headers) -> dict[str, str]:
    """An upstream's headers for the caller."""
    return {
        name: value
        for name, value in headers.items()
        if name not in _HOP | _UNDONE
        if value.isascii()  # what is in another encoding cannot be sent on
        if not name.startswith(PREFIX.rstrip("-"))
    }


class Upstream:
    """One upstream, with its connections."""

    def __init__(
        self, settings: ServerSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = settings.upstream
        timeout = httpx.Timeout(settings.timeout, connect=settings.connect_timeout, pool=None)
        # As many connections as there are callers: who limits them sits in front of this server.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(
            timeout=timeout, limits=limits, transport=transport, trust_env=transport is None
        )
        self._seconds = settings

    async def ask(self, out: Outgoing) -> Reply:
        """The reply; one of this server's own (502, 504) when the upstream gives none."""
        try:
            async with self._sent(out) as response:
                content = await response.aread()
        except Refused as refused:
            return refused.reply
        except httpx.HTTPError as error:
            return self._failed(error)
        return Reply(response.status_code, content, returned(response.headers))

    async def stream(
        self,
        out: Outgoing,
        ends: Callable[[bytes], bool],
        opened: Callable[[Mapping[str, str]], None],
    ) -> AsyncIterator[bytes]:
        """The events of a stream up to its last one; `opened` is told the headers.

        Raises `Refused` with whatever else the upstream replies, and when it fails.
        """
        try:
            async with self._sent(out) as response:
                await _check_stream(response)
                opened(returned(response.headers))
                found = sse.events(response.aiter_bytes())
                async for event in found:
                    yield event
                    if ends(event):
                        await _drained(found)
                        return
        except httpx.HTTPError as error:
            raise Refused(self._failed(error)) from error

    @asynccontextmanager
    async def passing(self, out: Outgoing) -> AsyncIterator[httpx.Response]:
        """A response to be passed on as it comes; raises `Refused` when there is none."""
        try:
            async with self._sent(out) as response:
                yield response
        except httpx.HTTPError as error:
            raise Refused(self._failed(error)) from error

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _sent(self, out: Outgoing) -> AsyncIterator[httpx.Response]:
        try:
            request = self._client.build_request(
                out.method, self.url + out.path, headers=_encoded(out.headers), content=out.content
            )
        except (httpx.InvalidURL, ValueError) as error:
            # Their own words may repeat a key.
            words = "The request cannot be passed on: its path or a header is malformed."
            raise Refused(failed(400, words, "malformed_request")) from error
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    def _failed(self, error: httpx.HTTPError) -> Reply:
        """What became of it, in words without its URL, which may hold a key."""
        name = type(error).__name__
        log.warning("upstream failed: %s", name)
        if isinstance(error, httpx.ConnectTimeout):
            seconds = self._seconds.connect_timeout
            return failed(
                504,
                f"The upstream did not accept a connection within {seconds:g} s.",
                "upstream_timeout",
            )
        if isinstance(error, httpx.TimeoutException):
            seconds = self._seconds.timeout
            return failed(504, f"The upstream was silent for {seconds:g} s.", "upstream_timeout")
        if isinstance(error, httpx.ConnectError):
            return failed(502, "The upstream cannot be reached.", "upstream_unreachable")
        return failed(502, f"The upstream broke off ({name}).", "upstream_failed")


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As they came over the wire; httpx itself takes ASCII only."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _check_stream(response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "")
    if response.status_code != 200 or not kind.startswith("text/event-stream"):
        content = await response.aread()
        raise Refused(Reply(response.status_code, content, returned(response.headers)))


async def _drained(rest: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(_DRAIN):
        async for _ in rest:
            pass
