"""Get or compute, and coalescing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from semcache_core.asking import Call
from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.control import offline, refresh
from semcache_core.errors import OfflineMiss
from semcache_core.steps import Step
from tests.unit.core.test_cache import Approve, WordEmbedder


@pytest.fixture
def cache():
    with SemanticCache(embedder=WordEmbedder(), evaluator=Approve(), threshold=0.9) as made:
        yield made


def prompt(cache, question="refund"):
    return lambda: cache.prompt("json", None, question)


def call(sync=None, later=None, **more):
    return Call(JSON, sync, later, **more)


def test_the_model_is_asked_once(cache):
    """The second asker, however they word it, gets the stored answer."""
    calls = []

    def model():
        calls.append(1)
        return "14 days"

    assert cache.ask(prompt(cache), call(model)).hit is None
    assert cache.ask(prompt(cache, "my refund"), call(model)).hit is not None
    assert len(calls) == 1


def test_an_unfit_answer_is_handed_through_and_not_kept(cache):
    """The reason is counted."""
    asked = cache.ask(prompt(cache), call(lambda: "", keepable=lambda a: "" if a else "empty"))
    assert asked.answer == ""
    assert cache.stats().not_stored == {"empty": 1}
    assert cache.stats().entries == 0


def test_a_prompt_that_cannot_be_made_goes_through(cache, caplog):
    """The model answers, the trouble is logged and counted."""

    def broken():
        raise KeyError("tenant")

    asked = cache.ask(broken, call(lambda: "14 days"))
    assert (asked.answer, asked.outcome) == ("14 days", None)
    assert cache.stats().not_stored == {"KeyError": 1}
    assert "not cached" in caplog.text


def test_the_models_error_is_the_callers(cache):
    """And the next caller may try again."""

    def down():
        raise ConnectionError("provider")

    with pytest.raises(ConnectionError):
        cache.ask(prompt(cache), call(down))
    assert cache.ask(prompt(cache), call(lambda: "ok")).answer == "ok"
    assert len(cache.flights) == 0


def test_offline_never_asks(cache):
    """The model's function is not called."""
    with offline(), pytest.raises(OfflineMiss):
        cache.ask(prompt(cache), call(lambda: pytest.fail("asked")))


def test_threads_that_ask_the_same_make_one_call(cache):
    """The others wait for the first and get answers of their own."""
    calls, gate = [], threading.Event()

    def model():
        calls.append(1)
        gate.wait(10)
        return ["14 days"]

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.ask, prompt(cache), call(model)) for _ in range(8)]
        while not calls:
            pass
        gate.set()
        answers = [future.result(10).answer for future in futures]
    assert len(calls) == 1
    assert answers == [["14 days"]] * 8
    assert len({id(answer) for answer in answers}) == 8


class Slow:
    """A model that answers when it is let; how often it was asked, and whether it was stopped."""

    def __init__(self):
        self.calls, self.stopped, self.go = 0, 0, asyncio.Event()

    async def __call__(self):
        self.calls += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return "14 days"


async def asking_tasks(cache, model, number):
    """So many tasks that ask the same, all under way; the first leads."""
    tasks = [
        asyncio.create_task(cache.aask(prompt(cache), call(None, model))) for _ in range(number)
    ]
    while not model.calls:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return tasks


async def test_a_cancelled_leaders_call_goes_on_for_the_others(cache):
    """It is asked once; the leader is cancelled at once, and the others get the answer."""
    model = Slow()
    leader, *others = await asking_tasks(cache, model, 5)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    model.go.set()
    answers = await asyncio.wait_for(asyncio.gather(*others), 10)
    assert [one.answer for one in answers] == ["14 days"] * 4
    assert (model.calls, model.stopped, len(cache.flights)) == (1, 0, 0)


@pytest.mark.parametrize("first", [0, -1], ids=["the leader first", "the leader last"])
async def test_a_call_that_nobody_wants_is_stopped(first, cache):
    """When the last of those who asked is cancelled, whoever it is."""
    model = Slow()
    tasks = await asking_tasks(cache, model, 3)
    for task in tasks if first == 0 else reversed(tasks):
        task.cancel()
    gone = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert all(isinstance(one, asyncio.CancelledError) for one in gone)
    while not model.stopped:
        await asyncio.sleep(0.01)
    while len(cache.flights):
        await asyncio.sleep(0.01)
    model.go.set()
    assert (await cache.aask(prompt(cache), call(None, model))).answer == "14 days"
    assert (model.calls, model.stopped) == (2, 1)


async def test_an_answer_that_arrived_is_stored(cache, monkeypatch):
    """Although its asker is cancelled while that happens, and nobody else wants it."""
    model, saving, go = Slow(), asyncio.Event(), asyncio.Event()
    model.go.set()
    original = type(cache).saving

    def slow(self, *args, **kwargs):
        async def wait():
            saving.set()
            await go.wait()

        yield Step(lambda: None, wait)
        return (yield from original(self, *args, **kwargs))

    monkeypatch.setattr(type(cache), "saving", slow)
    task = asyncio.create_task(cache.aask(prompt(cache), call(None, model)))
    await saving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert (await cache.aask(prompt(cache), call(None, model))).hit is not None
    assert model.calls == 1


async def test_a_failure_that_nobody_waits_for_makes_no_noise(cache):
    """The leader is gone, the call fails: who waited asks anew, and sees what comes then."""
    calls, go = [], asyncio.Event()

    async def model():
        calls.append(1)
        if len(calls) == 1:
            await go.wait()
            raise ConnectionError("the first call")
        return "14 days"

    tasks = [asyncio.create_task(cache.aask(prompt(cache), call(None, model))) for _ in range(2)]
    while not calls:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    tasks[0].cancel()
    go.set()
    assert (await asyncio.wait_for(tasks[1], 10)).answer == "14 days"
    assert len(calls) == 2


async def test_answers_that_may_not_be_kept_do_not_queue_callers(cache):
    """Who waited for an answer that was not stored asks at once, beside the others."""
    running, most = [], []

    async def model():
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.05)
        running.pop()
        return ""

    unfit = call(None, model, keepable=lambda a: "empty")
    await asyncio.gather(*(cache.aask(prompt(cache), unfit) for _ in range(6)))
    assert max(most) == 5


def test_refresh_overwrites(cache):
    """The stored answer is not looked at."""
    cache.ask(prompt(cache), call(lambda: "old"))
    with refresh():
        assert cache.ask(prompt(cache), call(lambda: "new")).answer == "new"
    assert cache.ask(prompt(cache), call(lambda: "?")).answer == "new"
