"""The cache of recent embeddings and the micro-batches in front of an embedder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from semcache_core.embedders import CachingEmbedder, CachingTokenEmbedder, HashEmbedder
from semcache_core.embedders import wrapper as wrapper_module
from semcache_core.embedders._lane import Lane
from semcache_core.errors import ConfigError, EmbedderError
from semcache_core.models import Matrix
from semcache_core.steps import run, step


class Recorder(HashEmbedder):
    """Notes its calls; while `gate` is closed, a call stays inside."""

    def __init__(self) -> None:
        super().__init__(32)
        self.calls: list[list[str]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def embed(self, texts: Sequence[str]) -> Matrix:
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        return super().embed(texts)


class Native(Recorder):
    """Has an asynchronous way of its own."""

    native_async = True

    def __init__(self) -> None:
        super().__init__()
        self.agate: asyncio.Event | None = None

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        self.calls.append(list(texts))
        if self.agate is not None:
            await self.agate.wait()
        if self.error is not None:
            raise self.error
        return HashEmbedder.embed(self, texts)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


async def auntil(condition: Callable[[], bool]) -> None:
    """As `until`, letting the loop run."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.001)


def waiting(embedder: CachingEmbedder) -> int:
    """Texts that wait for the next batch."""
    return len(embedder._threads._waiting)


class Callers:
    """Threads that embed, and what each got."""

    def __init__(self, embedder: CachingEmbedder) -> None:
        self.embedder = embedder
        self.results: dict[int, Any] = {}
        self.threads: list[threading.Thread] = []

    def start(self, *texts: str) -> None:
        """One more thread."""
        number = len(self.threads)

        def work() -> None:
            try:
                self.results[number] = self.embedder.embed(texts)
            except BaseException as error:
                self.results[number] = error

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()

    def join(self) -> list[Any]:
        """The results in the order of starting."""
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()
        return [self.results[k] for k in sorted(self.results)]


def held(inner: Recorder, embedder: CachingEmbedder, *texts: str) -> Callers:
    """Callers of which the first is inside the embedder and the others, with `texts`, wait."""
    callers = Callers(embedder)
    inner.gate.clear()
    callers.start("first")
    assert inner.entered.wait(20)
    for text in texts:
        callers.start(text)
    until(lambda: waiting(embedder) == len(set(texts) - {"first"}))
    return callers


def test_recent_texts_are_remembered() -> None:
    """A text is embedded once; only what is new goes to the embedder."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    first = embedder.embed(["a", "b", "a"])
    second = embedder.embed(["b", "c"])
    assert inner.calls == [["a", "b"], ["c"]]
    np.testing.assert_array_equal(first[1], second[0])


def test_the_least_recent_is_forgotten() -> None:
    """The memory is bounded, and a use renews."""
    inner = Recorder()
    embedder = CachingEmbedder(inner, cache_size=2)
    for text in ["a", "b", "a", "c", "a", "b"]:
        embedder.embed([text])
    assert inner.calls == [["a"], ["b"], ["c"], ["b"]]


def test_nothing_is_remembered_with_size_zero() -> None:
    """`cache_size=0` leaves only the batches."""
    inner = Recorder()
    embedder = CachingEmbedder(inner, cache_size=0)
    embedder.embed(["a"])
    embedder.embed(["a"])
    assert inner.calls == [["a"], ["a"]]


def test_arrays_are_read_only() -> None:
    """What is handed out cannot spoil what is remembered."""
    embedder = CachingEmbedder(HashEmbedder(), max_batch=2)
    for texts in (["a"], ["a"], ["a", "b"], ["c", "d", "e"], []):
        rows = embedder.embed(texts)
        assert not rows.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            rows[...] = 0


def test_a_lone_request_runs_in_its_own_thread() -> None:
    """No thread is started and nothing is waited for."""
    seen: list[int] = []

    class Here(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Matrix:
            seen.append(threading.get_ident())
            return super().embed(texts)

    CachingEmbedder(Here()).embed(["a"])
    assert seen == [threading.get_ident()]


def test_threads_share_the_next_batch() -> None:
    """What arrives while a batch runs goes together in the next, each text once."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    callers = held(inner, embedder, "b", "c", "b", "d", "first")
    inner.gate.set()
    results = callers.join()
    assert inner.calls[0] == ["first"]
    assert sorted(inner.calls[1]) == ["b", "c", "d"]
    assert len(inner.calls) == 2
    expected = HashEmbedder(32).embed(["first", "b", "c", "b", "d", "first"])
    np.testing.assert_allclose(np.concatenate(results), expected, atol=1e-6)


def test_batches_are_bounded() -> None:
    """More than `max_batch` waiting texts become several batches."""
    inner = Recorder()
    embedder = CachingEmbedder(inner, max_batch=2)
    callers = held(inner, embedder, *"abcde")
    inner.gate.set()
    callers.join()
    assert [len(call) for call in inner.calls] == [1, 2, 2, 1]


def test_bulk_goes_straight_to_the_embedder() -> None:
    """A large request neither waits for a batch nor makes one wait, and is remembered."""
    inner = Recorder()
    embedder = CachingEmbedder(inner, max_batch=2)
    assert embedder.embed(["a", "b", "c"]).shape == (3, 32)
    assert embedder.embed(["a", "c"]).shape == (2, 32)
    assert inner.calls == [["a", "b", "c"]]


async def test_bulk_is_the_same_for_tasks() -> None:
    """The asynchronous way of a large request."""
    inner = Recorder()
    embedder = CachingEmbedder(inner, max_batch=2)
    assert (await embedder.aembed(["a", "b", "c"])).shape == (3, 32)
    assert inner.calls == [["a", "b", "c"]]


async def test_tasks_and_threads_share_batches() -> None:
    """Tasks wait beside threads for one batch, and a text is embedded once for both."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    inner.gate.clear()
    first = asyncio.create_task(embedder.aembed(["first"]))
    await auntil(inner.entered.is_set)
    callers = Callers(embedder)
    callers.start("shared")
    tasks = [asyncio.create_task(embedder.aembed([text])) for text in ("shared", "own", "first")]
    await auntil(lambda: waiting(embedder) == 2)
    inner.gate.set()
    await asyncio.gather(first, *tasks)
    callers.join()
    assert inner.calls[0] == ["first"]
    assert sorted(inner.calls[1]) == ["own", "shared"]
    assert len(inner.calls) == 2


async def test_tasks_do_not_block_the_loop() -> None:
    """While a batch runs, the event loop goes on."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    inner.gate.clear()
    task = asyncio.create_task(embedder.aembed(["slow"]))
    await auntil(inner.entered.is_set)
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    assert (turns, task.done()) == (100, False)
    inner.gate.set()
    assert (await task).shape == (1, 32)


@pytest.mark.parametrize("kind", [Recorder, Native])
async def test_a_cancelled_waiter_harms_no_other(kind: type[Recorder]) -> None:
    """Neither the one whose batch runs nor one that waits takes anybody along."""
    inner = kind()
    embedder = CachingEmbedder(inner)
    inner.gate.clear()
    if isinstance(inner, Native):
        inner.agate = asyncio.Event()
    leader = asyncio.create_task(embedder.aembed(["shared"]))
    await auntil(lambda: bool(inner.calls))
    cancelled = asyncio.create_task(embedder.aembed(["other"]))
    others = [asyncio.create_task(embedder.aembed([text])) for text in ("shared", "other")]
    await asyncio.sleep(0.01)
    leader.cancel()
    cancelled.cancel()
    await asyncio.sleep(0)
    inner.gate.set()
    if isinstance(inner, Native) and inner.agate:
        inner.agate.set()
    rows = np.concatenate(await asyncio.gather(*others))
    np.testing.assert_allclose(rows, HashEmbedder(32).embed(["shared", "other"]), atol=1e-6)
    assert leader.cancelled()
    assert cancelled.cancelled()
    assert inner.calls == [["shared"], ["other"]]


@pytest.mark.parametrize("kind", [Recorder, Native])
async def test_errors_reach_every_waiter(kind: type[Recorder]) -> None:
    """All who waited for a failed batch get its error as an EmbedderError; nothing is kept."""
    inner = kind()
    inner.error = OSError("unreachable")
    embedder = CachingEmbedder(inner)
    results = await asyncio.gather(
        *(embedder.aembed([text]) for text in ["a", "a", "b"]), return_exceptions=True
    )
    assert [type(result) for result in results] == [EmbedderError] * 3
    assert all("unreachable" in str(result) for result in results)
    inner.error = None
    assert (await embedder.aembed(["a"])).shape == (1, 32)


def test_errors_reach_every_thread() -> None:
    """The same for threads, and the next request starts afresh."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    callers = held(inner, embedder, "b", "c")
    inner.error = OSError("unreachable")
    inner.gate.set()
    assert [type(result) for result in callers.join()] == [EmbedderError] * 3
    inner.error = None
    assert embedder.embed(["b"]).shape == (1, 32)


async def test_a_native_way_is_used_and_shared_by_tasks() -> None:
    """An embedder with an asynchronous way of its own is awaited, in batches of its loop."""
    inner = Native()
    inner.agate = asyncio.Event()
    embedder = CachingEmbedder(inner)
    tasks = [asyncio.create_task(embedder.aembed(["first"]))]
    await auntil(lambda: len(inner.calls) == 1)
    tasks += [asyncio.create_task(embedder.aembed([text])) for text in ("b", "c", "b", "first")]
    await asyncio.sleep(0.01)
    inner.agate.set()
    await asyncio.gather(*tasks)
    assert inner.calls == [["first"], ["b", "c"]]
    assert not inner.entered.is_set()


def test_every_loop_has_its_own_native_batches() -> None:
    """A loop that is gone leaves nothing behind that a later one could wait for."""
    embedder = CachingEmbedder(Native())
    for text in ("a", "b"):
        assert asyncio.run(embedder.aembed([text])).shape == (1, 32)


def test_a_closing_loop_fails_its_waiters() -> None:
    """When a loop ends in the middle of a batch, whoever waits is told."""
    inner = Native()
    embedder = CachingEmbedder(inner)
    failed: list[BaseException] = []

    async def main() -> None:
        inner.agate = asyncio.Event()
        lane_filled = asyncio.create_task(embedder.aembed(["never"]))
        await auntil(lambda: bool(inner.calls))
        (lane,) = embedder._loops.values()
        tickets, leads = lane.join(["never", "later"])
        assert not leads
        for ticket in tickets:
            ticket.add_done_callback(lambda done: failed.append(done.exception()))  # type: ignore[arg-type]
        lane_filled.cancel()

    asyncio.run(main())
    assert [str(error) for error in failed] == ["the embedding was interrupted"] * 2
    assert asyncio.run(_after(embedder, inner)).shape == (1, 32)


async def _after(embedder: CachingEmbedder, inner: Native) -> Matrix:
    inner.agate = None
    return await embedder.aembed(["never"])


def test_an_interrupted_leader_frees_the_waiters() -> None:
    """Ctrl-C in the middle of a batch fails those who wait instead of leaving them for ever."""

    class Interrupted(Recorder):
        def embed(self, texts: Sequence[str]) -> Matrix:
            super().embed(texts)
            raise KeyboardInterrupt

    inner = Interrupted()
    embedder = CachingEmbedder(inner)
    callers = held(inner, embedder, "second")
    inner.gate.set()
    leader, waiter = callers.join()
    assert isinstance(leader, KeyboardInterrupt)
    assert isinstance(waiter, EmbedderError)


def test_without_a_thread_the_leader_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the waiting batch runs in the leader's."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    callers = held(inner, embedder, "second")

    class None_(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wrapper_module.threading, "Thread", None_)
    inner.gate.set()
    assert [rows.shape for rows in callers.join()] == [(1, 32), (1, 32)]


def test_wrong_vectors_are_refused() -> None:
    """A wrapped embedder that returns too few rows, or other lengths later, is found out."""

    class Wrong(HashEmbedder):
        rows: Any = np.ones((1, 3))

        def embed(self, texts: Sequence[str]) -> Matrix:
            return np.asarray(self.rows, np.float32)

    inner = Wrong()
    embedder = CachingEmbedder(inner)
    with pytest.raises(EmbedderError, match=r"shape \(1, 3\) for 2 texts"):
        embedder.embed(["a", "b"])
    embedder.embed(["a"])
    inner.rows = np.ones((1, 4))
    with pytest.raises(EmbedderError, match="of 4 numbers, and of 3 before"):
        embedder.embed(["b"])


@pytest.mark.parametrize(
    "sizes", [{"cache_size": -1}, {"cache_size": True}, {"max_batch": 0}, {"max_batch": "8"}]
)
def test_sizes_are_checked(sizes: dict[str, Any]) -> None:
    """Sizes that cannot work raise and are named."""
    with pytest.raises(ConfigError, match=next(iter(sizes))):
        CachingEmbedder(HashEmbedder(), **sizes)


class Tokens(HashEmbedder):
    """Shows a vector a word."""

    def __init__(self) -> None:
        super().__init__(32)
        self.calls: list[list[str]] = []

    def embed_tokens(self, texts: Sequence[str]) -> list[Matrix]:
        self.calls.append(list(texts))
        return [HashEmbedder(32).embed(text.split()) for text in texts]


def test_token_vectors_are_remembered() -> None:
    """Each text's token vectors are made once, and handed out read-only."""
    inner = Tokens()
    embedder = CachingTokenEmbedder(inner, token_cache_size=2)
    first = embedder.embed_tokens(["a b", "c"])
    again = embedder.embed_tokens(["c", "a b", "c"])
    assert inner.calls == [["a b", "c"]]
    assert [rows.shape[0] for rows in again] == [1, 2, 1]
    assert again[1] is first[0]
    assert not again[1].flags.writeable


def test_a_lane_is_free_after_abort() -> None:
    """Whoever comes after an abort leads again."""

    def nothing(texts: list[str]) -> Any:
        return step(HashEmbedder(4).embed, HashEmbedder(4).aembed, texts)

    lane = Lane(nothing, 8)
    (lost,), leads = lane.join(["a"])
    assert leads
    lane.abort()
    assert isinstance(lost.exception(), EmbedderError)
    (kept,), leads = lane.join(["a"])
    assert leads
    assert run(lane.batch()) is False
    assert kept.result().shape == (4,)


def test_the_interpreters_end_waits_for_a_batch() -> None:
    """Ending in the middle of one would abort the process with some libraries."""
    code = """
        import asyncio, sys, time
        from semcache_core.embedders import CachingEmbedder, HashEmbedder

        class Slow(HashEmbedder):
            def embed(self, texts):
                time.sleep(0.3)
                print("embedded")
                return super().embed(texts)

        async def main():
            task = asyncio.create_task(CachingEmbedder(Slow()).aembed(["a"]))
            await asyncio.sleep(0.05)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "embedded\n", "")


def test_in_a_child_nothing_is_remembered() -> None:
    """What the parent remembered may be half written, so a child starts without it."""
    inner = Recorder()
    embedder = CachingEmbedder(inner)
    embedder.embed(["a"])
    embedder.in_forked_child()
    embedder.embed(["a"])
    assert inner.calls == [["a"], ["a"]]


def test_a_forked_child_starts_afresh() -> None:
    """A child forked while a batch ran and a lock was held embeds, and remembers, on its own."""
    code = """
        import os, threading, sys
        import numpy as np
        from semcache_core.embedders import CachingEmbedder, HashEmbedder

        inside, gate = threading.Event(), threading.Event()

        class Slow(HashEmbedder):
            def embed(self, texts):
                if "slow" in texts:
                    inside.set()
                    gate.wait(20)
                return super().embed(texts)

        embedder = CachingEmbedder(Slow())
        thread = threading.Thread(target=embedder.embed, args=(["slow"],))
        thread.start()
        inside.wait(20)
        embedder._recent._lock.acquire()
        pid = os.fork()
        if pid == 0:
            gate.set()
            rows = embedder.embed(["slow"])
            os._exit(0 if np.isclose(rows @ rows.T, 1) else 1)
        embedder._recent._lock.release()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        gate.set()
        thread.join(20)
        sys.exit(status or embedder.embed(["slow"]).shape != (1, 256))
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], timeout=60, check=False
    )
    assert done.returncode == 0
