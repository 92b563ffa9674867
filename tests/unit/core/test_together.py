"""Several prompts, of which the model takes all misses in one call."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from semcache_core.asking import Call
from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.control import no_cache, offline
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError, OfflineMiss
from semcache_core.singleflight import Flights, Landing
from semcache_core.steps import run
from semcache_core.together import Calls


@pytest.fixture
def cache():
    with SemanticCache(embedder=HashEmbedder(), threshold=0.9) as made:
        yield made


class Model:
    """Answers a list of questions; counts its calls."""

    def __init__(self, asked, gate=None, keepable=lambda answer: ""):
        self.asked, self.log, self.gate, self.keepable = asked, [], gate, keepable

    def many(self, numbers):
        self.log.append(numbers)
        if self.gate is not None:
            self.gate.wait(10)
        return [f"{self.asked[n]}!" for n in numbers]

    async def amany(self, numbers):
        await asyncio.sleep(0.01)
        return self.many(numbers)

    def calls(self):
        def alone(number):
            async def later():
                return (await self.amany([number]))[0]

            return Call(JSON, lambda: self.many([number])[0], later, keepable=self.keepable)

        return Calls(self.many, self.amany, alone)


def prompts(cache, asked):
    return [None if text is None else cache.prompt("json", None, text) for text in asked]


def answers(asked):
    return [one.answer for one in asked]


@pytest.mark.parametrize("sync", [True, False])
async def test_the_misses_are_asked_together(cache, sync):
    """In order; what is stored, and what repeats in the list, is not asked for."""
    cache.put("one", "one!")
    asked = ["one", "two", "three", "two", None]
    model = Model(asked)
    given = prompts(cache, asked), model.calls()
    found = cache.ask_all(*given) if sync else await cache.aask_all(*given)
    assert answers(found) == ["one!", "two!", "three!", "two!", "None!"]
    assert model.log == [[1, 2, 4]]
    assert [one.hit is not None for one in found] == [True, False, False, True, False]
    found = cache.ask_all(*given) if sync else await cache.aask_all(*given)
    assert model.log == [[1, 2, 4], [4]]


def test_switched_off_all_are_asked(cache):
    """And nothing is stored; offline, a miss raises."""
    model = Model(["one", "two"])
    given = prompts(cache, model.asked), model.calls()
    with no_cache():
        assert answers(cache.ask_all(*given)) == ["one!", "two!"]
    assert cache.stats().entries == 0
    with offline(), pytest.raises(OfflineMiss, match="2 of the prompts"):
        cache.ask_all(*given)
    assert cache.ask_all([], Model([]).calls()) == []


def test_an_error_wakes_those_who_wait(cache):
    """They ask for themselves."""
    model = Model(["one"])

    def down(numbers):
        raise ConnectionError

    calls = Calls(down, model.amany, model.calls().alone)
    with pytest.raises(ConnectionError):
        cache.ask_all(prompts(cache, ["one"]), calls)
    assert len(cache.flights) == 0
    assert answers(cache.ask_all(prompts(cache, ["one"]), model.calls())) == ["one!"]


def test_two_lists_in_the_opposite_order_do_not_wait_for_each_other(cache):
    """Neither holds a flight while it waits."""
    gate = threading.Event()
    models = [Model(["one", "two"], gate), Model(["two", "one"], gate)]
    with ThreadPoolExecutor(2) as pool:
        futures = [
            pool.submit(cache.ask_all, prompts(cache, model.asked), model.calls())
            for model in models
        ]
        while not any(model.log for model in models):
            pass
        gate.set()
        found = [answers(future.result(20)) for future in futures]
    assert found == [["one!", "two!"], ["two!", "one!"]]
    assert sum(len(numbers) for model in models for numbers in model.log) == 2


def test_answers_that_may_not_be_kept(cache):
    """The one that waited asks by itself."""
    model = Model(["one", "one"], keepable=lambda answer: "unfit")
    assert answers(cache.ask_all(prompts(cache, model.asked), model.calls())) == ["one!", "one!"]
    assert model.log == [[0], [1]]
    assert cache.stats().not_stored == {"unfit": 2}


def test_what_landed_meanwhile_is_taken(cache, monkeypatch):
    """Between the look and the boarding somebody may have stored the answer."""
    model = Model(["one"])
    board = cache.flights.board

    def late(key, *args):
        cache.put("one", "theirs")
        return board(key, *args)

    monkeypatch.setattr(cache.flights, "board", late)
    found = cache.ask_all(prompts(cache, ["one"]), model.calls())
    assert (answers(found), model.log) == (["theirs"], [])
    assert len(cache.flights) == 0


def test_a_thread_waits_for_a_loops_leader_only_so_long(monkeypatch):
    """Patience ends; a thread of the loop's own pool has none."""
    from semcache_core import singleflight

    monkeypatch.setattr(singleflight, "PATIENCE", 0.05)

    async def lead():
        flights = Flights()
        flight, _ = flights.board("k")
        assert await asyncio.to_thread(lambda: run(flight.wait())) is Landing.NOT_STORED
        with ThreadPoolExecutor(1) as pool:
            loop = asyncio.get_running_loop()
            waited = loop.run_in_executor(pool, lambda: run(flight.wait()))
            assert await waited is Landing.NOT_STORED
            waited = loop.run_in_executor(pool, lambda: run(flight.wait()))
            flight.land(Landing.STORED)
            assert await waited is Landing.STORED

    asyncio.run(lead())


def test_who_waited_in_vain_asks_alone(cache, monkeypatch):
    """An outage does not make a queue: patience is for all failed leaders together."""
    from semcache_core import asking

    monkeypatch.setattr(asking, "PATIENCE", -1.0)
    flight, _ = cache.flights.board(cache.prompt("json", None, "one").key)
    found = cache.ask(lambda: cache.prompt("json", None, "one"), Call(JSON, lambda: "alone", None))
    assert found.answer == "alone"
    flight.land(Landing.FAILED)


def test_a_similar_prompt_waits_if_asked_to():
    """A failing evaluator only costs a call of the model."""
    with SemanticCache(embedder=HashEmbedder(), threshold=0.8, coalesce="semantic") as cache:
        one = cache.prompt("json", None, "what is your refund policy")
        two = cache.prompt("json", None, "What is your refund policy?")
        miss, other = cache.find(one, JSON), cache.find(two, JSON)
        flight, _ = cache.flights.board(one.key, miss)
        assert run(cache.similar_flight(other)) is flight
        far = cache.find(cache.prompt("json", None, "where is the sea"), JSON)
        assert run(cache.similar_flight(far)) is None

        def broken(*args):
            raise ValueError("broken")

        object.__setattr__(cache._parts, "evaluator", type("E", (), {"score": broken})())
        assert run(cache.similar_flight(other)) is None
        assert cache.stats().errors


@pytest.mark.parametrize(
    "arguments", [{"coalesce": "all"}, {"next_cache": 1}, {"temperature": "warm"}, {"answers": 1.5}]
)
def test_arguments_that_cannot_work(arguments):
    """The error names the argument."""
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        SemanticCache(embedder=HashEmbedder(), **arguments)
