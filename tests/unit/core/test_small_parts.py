"""LRU, sessions, flights, questions, turns."""

import asyncio
import os
import threading

import pytest

from semcache_core.errors import ConfigError
from semcache_core.lru import LRU
from semcache_core.questions import own_question, pieces
from semcache_core.sessions import Sessions
from semcache_core.singleflight import Flights, Landing
from semcache_core.steps import arun, run
from semcache_core.turns import Turns


def test_the_least_recently_used_goes():
    """A read counts as a use."""
    lru = LRU(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.get("a") == 1
    lru.put("c", 3)
    assert (lru.get("a"), lru.get("b"), lru.get("c"), len(lru)) == (1, None, 3, 2)
    assert lru.pop("a") == 1
    assert lru.pop("a") is None
    lru.clear()
    assert len(lru) == 0


def test_a_session_remembers_what_it_was_served():
    """Until it is dropped."""
    sessions = Sessions()
    sessions.note("ann", "k")
    sessions.note("ann", "l")
    assert sessions.has_seen("ann", "k")
    assert not sessions.has_seen("bob", "k")
    assert sessions.drop("ann")
    assert not sessions.drop("ann")
    assert not sessions.has_seen("ann", "l")


def test_one_leads_and_the_others_wait():
    """A landing wakes every waiter with how it ended."""
    flights = Flights()
    flight, leads = flights.board("k")
    same, follows = flights.board("k")
    assert (leads, follows, same is flight) == (True, False, True)
    seen = []
    waiters = [threading.Thread(target=lambda: seen.append(run(flight.wait()))) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    flight.land(Landing.STORED)
    flight.land(Landing.FAILED)
    for waiter in waiters:
        waiter.join(10)
    assert seen == [Landing.STORED] * 4
    assert flights.board("k")[1]


def test_a_late_landing_leaves_the_next_flight_alone():
    """Only its own flight is ended by a leader."""
    flights = Flights()
    first, _ = flights.board("k")
    first.land(Landing.FAILED)
    second, leads = flights.board("k")
    first.land(Landing.STORED)
    assert leads
    assert flights.board("k") == (second, False)
    assert len(flights) == 1


async def test_a_cancelled_waiter_leaves_the_flight_to_the_others():
    """One task's cancellation is not the leader's."""
    flights = Flights()
    flight, _ = flights.board("k")
    gone = asyncio.create_task(arun(flight.wait()))
    stays = asyncio.create_task(arun(flight.wait()))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0.01)
    flight.land(Landing.NOT_STORED)
    assert await stays is Landing.NOT_STORED


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("How do I cancel?", "How do I cancel?"),
        ("  How do I cancel?\n", "How do I cancel?"),
        ("", None),
        ("Context: a\nQuestion: b", None),
        ("word " * 64, ("word " * 64).strip()),
        ("word " * 65, None),
        ("x" * 5000, None),
        ("\u4f60\u597d\u5417", "\u4f60\u597d\u5417"),
        ("\u4f60" * 65, None),
    ],
)
def test_one_short_paragraph_is_its_own_question(text, question):
    """Anything longer is likely a template."""
    assert own_question(text) == question


def test_long_words_count_as_several_pieces():
    """The estimate errs on the high side."""
    assert pieces("internationalisation") == 3
    assert pieces("a, b!") == 4


@pytest.mark.parametrize("name", ["question", "tool_calls", "react"])
def test_a_turns_mode_is_one_of_three(name):
    """The error names the kind of turn."""
    with pytest.raises(ConfigError, match=f"turns.{name}: 'sometimes'"):
        Turns(**{name: "sometimes"})


@pytest.mark.parametrize("name", ["tool_calls", "forced_tool"])
def test_tool_calls_are_never_found_by_meaning(name):
    """Their arguments answer the exact wording."""
    with pytest.raises(ConfigError, match="exact wording"):
        Turns(**{name: "semantic"})


def test_a_forked_child_starts_without_the_parents_flights():
    """Nobody in the child would ever land them."""
    flights = Flights()
    flights.board("k")
    child = os.fork()
    if child == 0:
        os._exit(0 if flights.board("k")[1] and len(flights) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not flights.board("k")[1]
