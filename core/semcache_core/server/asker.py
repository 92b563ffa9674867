"""One request that the cache is asked for first, whole or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.responses import Response

from semcache_core.asking import Call
from semcache_core.cache import SemanticCache
from semcache_core.errors import OfflineMiss
from semcache_core.models import Hit, Outcome, Prompt
from semcache_core.server import sse
from semcache_core.server.failures import ApiError
from semcache_core.server.incoming import Incoming
from semcache_core.server.passing import Body, as_response, broken_off
from semcache_core.server.pieces import total_tokens
from semcache_core.server.plans import Plan, wants_usage
from semcache_core.server.replies import Refused, Replies, Reply, whole
from semcache_core.server.told import told
from semcache_core.server.upstream import Upstream
from semcache_core.server.usage import without_usage
from semcache_core.streaming import StreamCall, astreamed

Shown = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Asker:
    """What is needed to answer it."""

    cache: SemanticCache
    upstream: Upstream
    replies: Replies
    plan: Plan
    incoming: Incoming
    body: Mapping[str, Any]

    async def whole(self) -> Response:
        """The answer in one piece, and in its headers where it came from."""
        call = Call(
            self.replies, never, partial(self.upstream.ask, self.incoming.out), **self._rules()
        )
        try:
            asked = await self.cache.aask(self._prompt, call, self.incoming.control)
        except OfflineMiss as miss:
            raise not_cached(miss) from miss
        return as_response(asked.answer, told(asked.outcome, "the request cannot be cached"))

    async def stream(self, *, always_usage: bool) -> Response:
        """The answer as events; how it begins says whether there is one at all."""
        seen: list[Outcome] = []
        headers: dict[str, str] = {}
        chunks = await self._chunks(seen, headers, always_usage)
        try:
            first = [await anext(chunks)]
        except StopAsyncIteration:
            first = []
        except Refused as refused:
            return as_response(refused.reply, self._told(seen))
        except OfflineMiss as miss:
            raise not_cached(miss) from miss
        shown = self._shown(always_usage and not isinstance(seen[0] if seen else None, Hit))
        events = _events(_from(first, chunks), self.replies.endpoint.ends, shown)
        return Body(events, headers={**_STREAM, **headers, **self._told(seen)})

    async def _chunks(
        self, seen: list[Outcome], headers: dict[str, str], always_usage: bool
    ) -> AsyncIterator[bytes]:
        control = replace(self.incoming.control, on_hit=seen.append, on_miss=seen.append)
        endpoint = self.replies.endpoint
        asks = always_usage and endpoint.tells_usage
        out = self.incoming.with_usage(self.body) if asks else self.incoming.out
        call: StreamCall[Reply, bytes] = StreamCall(
            self.replies,
            never,
            lambda: self.upstream.stream(out, endpoint.ends, headers.update),
            join=lambda events: whole(endpoint.join(events)),
            replay=lambda hit: endpoint.replay(hit.answer.answer, self.body),
            copy=lambda event: event,
            **self._rules(),
        )
        return await astreamed(self.cache, self._prompt, call, control)

    def _prompt(self) -> Prompt:
        if self.plan.prompt is None:
            raise AssertionError("without a key the cache is not asked")
        return self.plan.prompt

    def _rules(self) -> dict[str, Any]:
        return {
            "tokens": lambda reply: total_tokens(reply.answer or {}),
            "keepable": self._unfit,
            "exact_only": self._exact_only,
            "ttl": self.incoming.wishes.ttl,
        }

    def _unfit(self, reply: Reply) -> str:
        answer, endpoint = reply.answer, self.replies.endpoint
        if answer is None:
            return "upstream error" if reply.status != 200 else "not JSON"
        if why := endpoint.unfit(answer):
            return why
        calls = endpoint.calls_tools(answer)
        return "tool calls" if calls and self.plan.tool_calls == "off" else ""

    def _exact_only(self, reply: Reply) -> str:
        calls = self.replies.endpoint.calls_tools(reply.answer or {})
        return "the answer calls tools" if calls else ""

    def _shown(self, filtered: bool) -> Shown:
        hides = filtered and self.replies.endpoint.tells_usage and not wants_usage(self.body)
        return without_usage if hides else lambda event: event

    def _told(self, seen: Sequence[Outcome]) -> dict[str, str]:
        return told(seen[0] if seen else None, "the request cannot be cached")


_STREAM = {"content-type": "text/event-stream", "cache-control": "no-cache"}


async def _from(first: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """What was read already, then the rest, which is closed with this."""
    async with aclosing(rest):  # type: ignore[type-var]  # a generator
        for event in first:
            yield event
        async for event in rest:
            yield event


async def _events(
    found: AsyncGenerator[bytes, None], ends: Callable[[bytes], bool], shown: Shown
) -> AsyncGenerator[bytes, None]:
    """The events for the caller; the last one only when the answer is stored.

    A client that has seen the end closes the connection at once, and what is not read to the end is
    not stored.
    """
    last = b""
    async with aclosing(found):
        try:
            async for event in found:
                if ends(event):
                    last = event
                elif seen := shown(event):
                    yield seen + sse.END
        except Refused as refused:
            yield broken_off(refused.reply)
            return
    if last:
        yield last + sse.END


def not_cached(miss: OfflineMiss) -> ApiError:
    """What `X-Semcache-Only-If-Cached` gets where nothing is stored."""
    return ApiError(504, f"X-Semcache-Only-If-Cached: {miss}", code="not_cached")


def never(*_: Any) -> Any:
    """In place of the synchronous half of a call."""
    raise AssertionError("the server asks on the event loop only")
