"""Streams through the cache: replay a stored answer, or pass the model's chunks on and store them.

    def stream_chat(self, messages, **kwargs):
        call = StreamCall(CODEC, sync=lambda: model.stream_chat(messages, **kwargs), ...)
        return streamed(cache, lambda: prompt_of(messages, kwargs), call)

    async def astream_chat(self, messages, **kwargs):
        return await astreamed(cache, lambda: prompt_of(messages, kwargs), call)

The prompt is made, and the setting (`no_cache()` and the like) taken, when the function is called;
the lookup and the model's call happen when the first chunk is asked for, in the context of the
call. An answer is stored only after normal exhaustion: a stream that is closed, cancelled, dropped
or that fails stores nothing, and its source is closed. Identical prompts that are streamed at once
share one call to the model (`relay` has the rule by which they cannot wait for one another), and
each reader gets chunks of its own. A reader whose shared stream failed before its first chunk asks
alone; after that it gets the failure.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Generic, TypeVar

from semcache_core.control import SWITCHED_OFF, UNKEYED, Control, current
from semcache_core.errors import OfflineMiss
from semcache_core.models import Hit, Miss, Prompt, Reason
from semcache_core.protocols import Codec
from semcache_core.relay import AsyncRelay, AsyncSource, Relay
from semcache_core.serving import Rules, Serving
from semcache_core.steps import Flow, arun, run

A = TypeVar("A")
C = TypeVar("C")
log = logging.getLogger("semcache")


@dataclass(frozen=True, slots=True)
class StreamCall(Rules[A], Generic[A, C]):
    """How a model is streamed; `A` is the stored answer, `C` one chunk."""

    codec: Codec[A]
    sync: Callable[[], Iterator[C]]
    asynchronous: AsyncSource[C]
    """Returns an asynchronous iterator, or a coroutine that does."""
    join: Callable[[Sequence[C]], A]
    """All chunks of one stream into the answer; what it raises means: not stored."""
    replay: Callable[[Hit], Iterable[C]]
    """A stored answer (`hit.answer`) as chunks; an error in it is a miss."""
    copy: Callable[[C], C] = copy.deepcopy
    """Readers change what they are given; the stored answer is made of the chunks as they came."""


def streamed(
    cache: Serving,
    prompt: Callable[[], Prompt],
    call: StreamCall[A, C],
    control: Control | None = None,
) -> Iterator[C]:
    """A generator of chunks. Raises what the model raises, and `OfflineMiss`."""
    request = _requested(cache, prompt, call, control or current())
    return call.sync() if request is None else _read(request)


async def astreamed(
    cache: Serving,
    prompt: Callable[[], Prompt],
    call: StreamCall[A, C],
    control: Control | None = None,
) -> AsyncIterator[C]:
    """As `streamed`, on the event loop: await it, then iterate."""
    request = _requested(cache, prompt, call, control or current())
    if request is not None:
        return _aread(request)
    source = call.asynchronous()
    return await source if inspect.isawaitable(source) else source


@dataclass(frozen=True, slots=True)
class _Request(Generic[A, C]):
    cache: Serving
    prompt: Prompt
    call: StreamCall[A, C]
    control: Control
    context: Context = field(default_factory=copy_context)

    def look(self) -> Flow[list[C] | Miss]:
        """The stored answer as chunks, or the miss."""
        started = perf_counter()
        outcome = yield from self.cache.looking(self.prompt, self.call.codec, self.control)
        found = self._replayed(outcome) if isinstance(outcome, Hit) else outcome
        seen = found if isinstance(found, Miss) else outcome
        self.cache.note(seen, self.control, perf_counter() - started)
        if self.control.offline and isinstance(found, Miss):
            raise OfflineMiss(f"offline, and nothing is stored: {found.reason.value}")
        return found

    def keep(self, miss: Miss, chunks: list[C]) -> Flow[None]:
        """Store what a stream brought from its beginning to its end."""
        try:
            answer = self.call.join(chunks)
        except Exception as error:  # noqa: BLE001  # the chunks are the caller's; caching them is ours
            self.cache.not_kept(error)
            return
        how = self.call.rules() | {"miss": miss}
        yield from self.cache.saving(self.prompt, answer, self.call.codec, self.control, **how)

    def copied(self, chunk: C) -> C:
        """A chunk that its reader may change; itself if it cannot be copied."""
        try:
            return self.call.copy(chunk)
        except Exception as error:  # noqa: BLE001  # the model's chunk still has to arrive
            log.warning("semcache: a chunk cannot be copied (%s)", error)
            return chunk

    def board(self, miss: Miss) -> tuple[Relay[C], bool]:
        """The stream to read, and whether this request is the one that asks for it."""
        if not self.cache.coalesces(self.control):
            return self.relay(miss), True
        return self.cache.relays.board(self.prompt.key, lambda: self.relay(miss))

    def aboard(self, miss: Miss) -> tuple[AsyncRelay[C], bool]:
        """As `board`, on the event loop: its streams are not those of threads or other loops."""
        if not self.cache.coalesces(self.control):
            return self.arelay(miss), True
        key = (self.prompt.key, asyncio.get_running_loop())
        return self.cache.relays.board(key, lambda: self.arelay(miss))

    def relay(self, miss: Miss) -> Relay[C]:
        """A stream of one's own."""
        return Relay(self.call.sync, partial(self.keep, miss), self.context.copy())

    def arelay(self, miss: Miss) -> AsyncRelay[C]:
        """As `relay`, on the event loop."""
        return AsyncRelay(self.call.asynchronous, partial(self.keep, miss), self.context.copy())

    def stored_since(self) -> list[C]:
        """What another stream stored between this one's lookup and its boarding."""
        hit = self.cache.glance(self.prompt, self.call.codec, self.control)
        found = self._replayed(hit) if hit is not None else None
        return found if isinstance(found, list) else []

    def _replayed(self, hit: Hit) -> list[C] | Miss:
        try:
            return list(self.context.copy().run(self.call.replay, hit))
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the model can answer
            log.warning("semcache: entry %s cannot be replayed: %s", hit.id[:12], error)
            return Miss(self.prompt, Reason.UNREADABLE, str(error))


def _requested(
    cache: Serving,
    prompt: Callable[[], Prompt],
    call: StreamCall[A, C],
    control: Control,
) -> _Request[A, C] | None:
    made = cache.attempt(prompt) if control.on else None
    if made is not None:
        return _Request(cache, made, call, control)
    control.past(UNKEYED if control.on else SWITCHED_OFF)
    return None


def _read(request: _Request[A, C]) -> Iterator[C]:
    found = run(request.look())
    if isinstance(found, list):
        yield from found
        return
    relay, first = request.board(found)
    number = 0
    while True:
        try:
            if first and (chunks := request.stored_since()):
                yield from chunks
                return
            while relay.reach(number):
                number += 1
                yield request.copied(relay.chunks[number - 1])
            return
        except Exception:
            if first or number:
                raise
        finally:
            relay.leave()
        relay, first = request.relay(found), True


async def _aread(request: _Request[A, C]) -> AsyncIterator[C]:
    found = await arun(request.look())
    if isinstance(found, list):
        for chunk in found:
            yield chunk
        return
    relay, first = request.aboard(found)
    number = 0
    while True:
        try:
            if first and (chunks := request.stored_since()):
                for chunk in chunks:
                    yield chunk
                return
            while await relay.reach(number):
                number += 1
                yield request.copied(relay.chunks[number - 1])
            return
        except Exception:
            if first or number:
                raise
        finally:
            await relay.leave()
        relay, first = request.arelay(found), True
