"""Streams through the cache: replay, tee, sharing, and what happens when somebody leaves early."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest

from semcache_core.codecs import JSON
from semcache_core.control import Control, no_cache, offline, read_only, refresh
from semcache_core.errors import OfflineMiss, PayloadError, UncacheableError
from semcache_core.keys import make_prompt
from semcache_core.models import Entry, Hit, Miss, Prompt, Reason
from semcache_core.relay import Relays
from semcache_core.steps import Flow, arun, blocking, run
from semcache_core.streaming import StreamCall, astreamed, streamed

WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


class Shelf:
    """A cache of exact matches in a dict: the part of the facade that streams use."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.relays = Relays()
        self.noted: list[str] = []
        self.errors: list[Exception] = []
        self.together = True

    def looking(self, prompt: Prompt, codec: Any, control: Control) -> Flow[Hit | Miss]:
        yield from blocking(lambda: None)
        return self.glance(prompt, codec, control) or Miss(prompt, Reason.EMPTY)

    def glance(self, prompt: Prompt, codec: Any, control: Control) -> Hit | None:
        if not control.read or prompt.key not in self.answers:
            return None
        entry = Entry(prompt.key, prompt.scope, "", b"", 0.0)
        answer = list(self.answers[prompt.key])
        return Hit(prompt, entry, 1.0, Reason.EXACT, 0.0, answer=answer)

    def saving(
        self, prompt: Prompt, answer: Any, codec: Any, control: Control, **how: Any
    ) -> Flow[bool]:
        yield from blocking(lambda: None)
        if control.write and not how["keepable"](answer):
            self.answers[prompt.key] = answer
        return control.write

    def note(self, outcome: Hit | Miss, control: Control, seconds: float = 0.0) -> None:
        self.noted.append(outcome.reason.value)

    def not_kept(self, error: Exception) -> None:
        self.errors.append(error)

    def coalesces(self, control: Control) -> bool:
        return self.together and control.read and control.write

    def attempt(self, make: Any) -> Prompt | None:
        try:
            return make()
        except UncacheableError:
            return None


class Model:
    """Streams lists of one word each, and tells when a stream of it was closed."""

    def __init__(self, *words: str, fails_at: int | None = None) -> None:
        self.words = words or ("a", "b", "c")
        self.fails_at = fails_at
        self.calls = 0
        self.closed = 0
        self.brought = 0
        self.gate: threading.Event | None = None
        self.wheres: list[str] = []

    def _next(self, number: int) -> list[str]:
        if number == self.fails_at:
            raise ConnectionError(f"broke before chunk {number}")
        self.brought += 1
        return [self.words[number]]

    def stream(self) -> Iterator[list[str]]:
        self.calls += 1
        self.wheres.append(WHERE.get())
        return self._stream()

    def _stream(self) -> Iterator[list[str]]:
        try:
            for number in range(len(self.words)):
                if self.gate is not None:
                    assert self.gate.wait(10)
                yield self._next(number)
        finally:
            self.closed += 1

    async def astream(self) -> AsyncIterator[list[str]]:
        self.calls += 1
        self.wheres.append(WHERE.get())
        return self._astream()

    async def _astream(self) -> AsyncIterator[list[str]]:
        try:
            for number in range(len(self.words)):
                await asyncio.sleep(0.001)
                yield self._next(number)
        finally:
            await asyncio.sleep(0)
            self.closed += 1


def call_of(model: Any, **more: Any) -> StreamCall[list[str], list[str]]:
    return StreamCall(
        **{
            "codec": JSON,
            "sync": model.stream,
            "asynchronous": model.astream,
            "join": lambda chunks: [word for chunk in chunks for word in chunk],
            "replay": lambda hit: [[word] for word in hit.answer],
            **more,
        }
    )


def ask(text: str = "hello") -> Any:
    return lambda: make_prompt(kind=JSON.name, exact=None, query=text)


@pytest.fixture
def shelf() -> Any:
    return Shelf()


ALL = [["a"], ["b"], ["c"]]


async def gathered(stream: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in stream]


async def consumed(shelf: Any, model: Any, how: str, **more: Any) -> list[Any]:
    """All chunks, by the synchronous or the asynchronous way."""
    if how == "sync":
        return list(streamed(shelf, ask(), call_of(model, **more)))
    return await gathered(await astreamed(shelf, ask(), call_of(model, **more)))


both = pytest.mark.parametrize("how", ["sync", "async"])


@both
async def test_second_stream_is_replayed(shelf: Any, how: str) -> None:
    """The first run passes the model's chunks on and stores them; the second asks nobody."""
    model = Model()
    assert await consumed(shelf, model, how) == ALL
    assert await consumed(shelf, model, how) == ALL
    assert (model.calls, model.closed, shelf.noted) == (1, 1, ["no candidate", "exact"])
    assert len(shelf.relays) == 0


async def test_sync_and_async_share_an_entry(shelf: Any) -> None:
    """What one way stored the other replays."""
    model = Model()
    await consumed(shelf, model, "async")
    assert await consumed(shelf, model, "sync") == ALL
    assert model.calls == 1


@both
async def test_nothing_happens_before_the_first_chunk_is_wanted(shelf: Any, how: str) -> None:
    """A generator that nobody consumes neither looks up nor calls, nor holds up others."""
    model = Model()
    if how == "sync":
        idle: Any = streamed(shelf, ask(), call_of(model))
    else:
        idle = await astreamed(shelf, ask(), call_of(model))
    assert (model.calls, shelf.noted) == (0, [])
    assert await consumed(shelf, model, how) == ALL
    del idle


@both
async def test_readers_own_their_chunks(shelf: Any, how: str) -> None:
    """A reader that mutates what it was given changes neither the entry nor another's chunks."""
    model = Model()
    for chunk in await consumed(shelf, model, how):
        chunk.append("mine")
    assert await consumed(shelf, model, how) == ALL


@both
async def test_chunks_that_cannot_be_copied_still_arrive(shelf: Any, how: str) -> None:
    """A failing copy costs isolation, not the answer."""
    assert await consumed(shelf, Model(), how, copy=lambda chunk: 1 / 0) == ALL


async def test_interleaved_in_one_thread_never_hangs(shelf: Any) -> None:
    """Two identical streams zipped in one thread share a call and both come to their end."""
    model = Model()
    one, two = (streamed(shelf, ask(), call_of(model)) for _ in range(2))
    assert list(zip(one, two, strict=True)) == [(c, c) for c in ALL]
    assert model.calls == 1


async def test_interleaved_in_one_task_never_hangs(shelf: Any) -> None:
    """The same on the event loop, one task reading both."""
    model = Model()
    one = await astreamed(shelf, ask(), call_of(model))
    two = await astreamed(shelf, ask(), call_of(model))
    for _ in ALL:
        assert await anext(one) == await anext(two)
    assert (await gathered(one), await gathered(two)) == ([], [])
    assert model.calls == 1


def test_a_thread_that_the_suspended_first_reader_waits_for(shelf: Any) -> None:
    """A reader in a second thread is not held up by the first, which waits for it."""
    model = Model()
    first = streamed(shelf, ask(), call_of(model))
    assert next(first) == ["a"]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: list(streamed(shelf, ask(), call_of(model)))).result(10) == ALL
    assert list(first) == ALL[1:]
    assert model.calls == 1


def test_threads_share_one_call(shelf: Any) -> None:
    """Of many threads at once one call is made, and everyone has all chunks."""
    model = Model()
    model.gate = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        running = [
            pool.submit(lambda: list(streamed(shelf, ask(), call_of(model)))) for _ in range(8)
        ]
        model.gate.set()
        assert [one.result(10) for one in running] == [ALL] * 8
    assert (model.calls, model.closed) == (1, 1)


async def test_tasks_share_one_call(shelf: Any) -> None:
    """The same for tasks of one event loop."""
    model = Model()
    results = await asyncio.gather(*(consumed(shelf, model, "async") for _ in range(8)))
    assert results == [ALL] * 8
    assert (model.calls, model.closed) == (1, 1)


async def test_without_coalescing_each_asks(shelf: Any) -> None:
    """A cache that does not coalesce gives each reader a stream of its own."""
    shelf.together = False
    model = Model()
    await asyncio.gather(*(consumed(shelf, model, "async") for _ in range(3)))
    with ThreadPoolExecutor(1) as pool:
        shelf.answers.clear()
        pool.submit(lambda: list(streamed(shelf, ask(), call_of(model)))).result(10)
    assert model.calls == 4


async def test_closed_stream_stores_nothing(shelf: Any) -> None:
    """A consumer that leaves early closes the source, no further than it read."""
    model = Model()
    stream: Any = streamed(shelf, ask(), call_of(model))
    assert next(stream) == ["a"]
    stream.close()
    assert (model.closed, model.brought, shelf.answers, len(shelf.relays)) == (1, 1, {}, 0)


async def test_closed_async_stream_stores_nothing(shelf: Any) -> None:
    """The same on the event loop; the source is closed before aclose returns."""
    model = Model()
    stream: Any = await astreamed(shelf, ask(), call_of(model))
    assert await anext(stream) == ["a"]
    await stream.aclose()
    assert (model.closed, model.brought, shelf.answers, len(shelf.relays)) == (1, 1, {}, 0)


async def test_dropped_stream_stores_nothing(shelf: Any) -> None:
    """A generator that is merely forgotten ends the same way."""
    model = Model()
    stream = streamed(shelf, ask(), call_of(model))
    next(stream)
    del stream
    gc.collect()
    assert (model.closed, shelf.answers, len(shelf.relays)) == (1, {}, 0)


async def test_cancelled_task_stores_nothing(shelf: Any) -> None:
    """Cancelling the consumer while it waits for a chunk closes the source."""
    model = Model(*"abcdefgh")
    task = asyncio.create_task(consumed(shelf, model, "async"))
    while not model.brought:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (model.closed, shelf.answers, len(shelf.relays)) == (1, {}, 0)


@both
async def test_those_who_stay_get_everything(shelf: Any, how: str) -> None:
    """The first reader leaves; the second reads on from the same call, and it is stored."""
    model = Model()
    if how == "sync":
        first: Any = streamed(shelf, ask(), call_of(model))
        second: Any = streamed(shelf, ask(), call_of(model))
        assert (next(first), next(second)) == (["a"], ["a"])
        first.close()
        rest = list(second)
    else:
        first = await astreamed(shelf, ask(), call_of(model))
        second = await astreamed(shelf, ask(), call_of(model))
        assert (await anext(first), await anext(second)) == (["a"], ["a"])
        await first.aclose()
        rest = await gathered(second)
    assert rest == ALL[1:]
    assert model.calls == 1
    assert list(shelf.answers.values()) == [["a", "b", "c"]]


@both
async def test_failure_reaches_the_caller_and_stores_nothing(shelf: Any, how: str) -> None:
    """What the model raises in the middle of a stream is raised to the reader."""
    with pytest.raises(ConnectionError, match="chunk 1"):
        await consumed(shelf, Model(fails_at=1), how)
    assert (shelf.answers, len(shelf.relays)) == ({}, 0)


async def test_reader_without_a_chunk_asks_alone(shelf: Any) -> None:
    """When a shared stream fails at once, its first reader is told and the others ask anew."""
    bad, good = Model(fails_at=0), Model()
    first = asyncio.create_task(consumed(shelf, bad, "async"))
    second = asyncio.create_task(consumed(shelf, good, "async"))
    with pytest.raises(ConnectionError):
        await first
    assert await second == ALL
    assert (bad.calls, good.calls) == (1, 1)


def test_thread_without_a_chunk_asks_alone(shelf: Any) -> None:
    """The same for threads: whoever joined before the failure asks anew."""
    bad, good = Model(fails_at=0), Model()
    bad.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: list(streamed(shelf, ask(), call_of(bad))))
        while not bad.calls:
            threading.Event().wait(0.001)
        second = pool.submit(lambda: list(streamed(shelf, ask(), call_of(good))))
        while len(shelf.noted) < 2:
            threading.Event().wait(0.001)
        threading.Event().wait(0.02)
        bad.gate.set()
        with pytest.raises(ConnectionError):
            first.result(10)
        assert second.result(10) == ALL
    assert good.calls == 1


async def test_reader_with_chunks_gets_the_failure(shelf: Any) -> None:
    """After its first chunk a follower cannot start anew: it gets the failure."""
    model = Model(fails_at=2)
    results = await asyncio.gather(
        *(consumed(shelf, model, "async") for _ in range(2)), return_exceptions=True
    )
    assert [type(one) for one in results] == [ConnectionError] * 2
    assert model.calls == 1


@both
async def test_a_failing_factory_is_the_callers_error(shelf: Any, how: str) -> None:
    """A model that fails before it streams leaves nothing behind."""

    def broken() -> Any:
        raise ConnectionError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        await consumed(shelf, SimpleNamespace(stream=broken, astream=broken), how)
    assert len(shelf.relays) == 0


@both
async def test_a_model_that_asks_itself_gets_a_stream_of_its_own(shelf: Any, how: str) -> None:
    """A model wrapped twice in one cache does not wait for itself."""
    inner = Model()

    def stream() -> Any:
        return streamed(shelf, ask(), call_of(inner))

    async def astream() -> Any:
        return await astreamed(shelf, ask(), call_of(inner))

    outer = SimpleNamespace(stream=stream, astream=astream)
    assert await asyncio.wait_for(consumed(shelf, outer, how), 10) == ALL
    assert inner.calls == 1


async def test_two_event_loops_do_not_mix(shelf: Any) -> None:
    """A stream belongs to its event loop; another loop asks for its own."""
    model = Model()
    first = await astreamed(shelf, ask(), call_of(model))
    assert await anext(first) == ["a"]
    other = await asyncio.to_thread(lambda: asyncio.run(consumed(shelf, model, "async")))
    assert other == ALL
    assert await gathered(first) == ALL[1:]
    assert model.calls == 2


@both
async def test_setting_is_taken_when_the_call_is_made(shelf: Any, how: str) -> None:
    """A generator made under no_cache() keeps that setting when it is consumed outside."""
    model = Model()
    with no_cache():
        if how == "sync":
            stream: Any = streamed(shelf, ask(), call_of(model))
        else:
            stream = await astreamed(shelf, ask(), call_of(model))
    assert (list(stream) if how == "sync" else await gathered(stream)) == ALL
    assert (shelf.answers, shelf.noted) == ({}, [])


@both
async def test_read_only_and_refresh(shelf: Any, how: str) -> None:
    """read_only stores nothing; refresh asks anew and overwrites."""
    with read_only():
        await consumed(shelf, Model(), how)
    assert shelf.answers == {}
    await consumed(shelf, Model(), how)
    with refresh():
        assert await consumed(shelf, Model("new"), how) == [["new"]]
    assert await consumed(shelf, Model("unused"), how) == [["new"]]


@both
async def test_offline_raises_on_a_miss(shelf: Any, how: str) -> None:
    """Offline, what is not stored is not asked for."""
    model = Model()
    with offline(), pytest.raises(OfflineMiss):
        await consumed(shelf, model, how)
    assert model.calls == 0


@both
async def test_the_model_is_called_in_the_context_of_the_call(shelf: Any, how: str) -> None:
    """Context variables of the call reach the model, not those where the stream is consumed."""
    model = Model()
    token = WHERE.set("call")
    if how == "sync":
        stream: Any = streamed(shelf, ask(), call_of(model))
    else:
        stream = await astreamed(shelf, ask(), call_of(model))
    WHERE.reset(token)
    assert (list(stream) if how == "sync" else await gathered(stream)) == ALL
    assert model.wheres == ["call"]


@both
async def test_uncacheable_prompt_goes_straight_to_the_model(shelf: Any, how: str) -> None:
    """A prompt that cannot be keyed is streamed as it is."""

    def prompt() -> Any:
        raise UncacheableError("no stable form")

    model, call = Model(), call_of(Model())
    call = call_of(model)
    if how == "sync":
        assert list(streamed(shelf, prompt, call)) == ALL
    else:
        assert await gathered(await astreamed(shelf, prompt, call)) == ALL
    assert (shelf.answers, shelf.noted) == ({}, [])


async def test_async_generator_function_as_source(shelf: Any) -> None:
    """The asynchronous factory may return its iterator without being awaited."""
    model = Model()
    call = call_of(model, asynchronous=model._astream)
    assert await gathered(await astreamed(shelf, ask(), call)) == ALL
    with no_cache():
        assert await gathered(await astreamed(shelf, ask(), call)) == ALL


@both
async def test_what_cannot_be_joined_is_not_stored(shelf: Any, how: str) -> None:
    """A join that fails is counted; the caller has its chunks all the same."""

    def join(chunks: Any) -> Any:
        raise PayloadError("chunks of two kinds")

    assert await consumed(shelf, Model(), how, join=join) == ALL
    assert (shelf.answers, [str(e) for e in shelf.errors]) == ({}, ["chunks of two kinds"])


@both
async def test_what_is_not_keepable_is_not_stored(shelf: Any, how: str) -> None:
    """`keepable` sees the joined answer."""
    await consumed(shelf, Model("cut"), how, keepable=lambda a: "cut" if "cut" in a else "")
    assert shelf.answers == {}


@both
async def test_an_entry_that_cannot_be_replayed_is_a_miss(shelf: Any, how: str) -> None:
    """A replay that fails asks the model instead."""
    model = Model()
    await consumed(shelf, model, how)
    shelf.glance = lambda *a: None if len(shelf.noted) > 1 else Shelf.glance(shelf, *a)
    assert await consumed(shelf, model, how, replay=lambda hit: [1 / 0]) == ALL
    assert shelf.noted[-1] == Reason.UNREADABLE.value


@both
async def test_stored_between_lookup_and_boarding(shelf: Any, how: str) -> None:
    """An answer that was stored after the lookup is found at boarding, so nobody is asked."""
    model = Model()
    await consumed(shelf, model, how)

    def late(prompt: Prompt, codec: Any, control: Control) -> Flow[Miss]:
        yield from blocking(lambda: None)
        return Miss(prompt, Reason.EMPTY)

    shelf.looking = late
    assert await consumed(shelf, model, how) == ALL
    assert (model.calls, len(shelf.relays)) == (1, 0)


async def test_errors_thrown_into_a_reader_are_not_swallowed(shelf: Any) -> None:
    """An exception that the consumer throws into the generator comes back out."""
    model = Model()
    first, second = (streamed(shelf, ask(), call_of(model)) for _ in range(2))
    next(first)
    next(second)
    with pytest.raises(KeyError):
        second.throw(KeyError("x"))  # type: ignore[attr-defined]  # it is a generator
    assert list(first) == ALL[1:]


def test_drivers_agree(shelf: Any) -> None:
    """Both drivers run the flows that the double stands in for."""
    assert run(blocking(int, "3")) == asyncio.run(arun(blocking(int, "3"))) == 3
