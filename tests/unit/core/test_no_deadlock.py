"""Nobody waits for what cannot go on while they wait."""

import asyncio
import threading
from contextvars import Context

from semcache_core.singleflight import Flights, Landing
from semcache_core.steps import arun, run


def in_a_thread(function):
    """The function's result, from a thread that may not take long."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    thread.join(10)
    assert results, "it hangs"
    return results[0]


def test_a_caller_does_not_wait_for_a_leader_beneath_it():
    """A second call in the leader's own thread asks alone, whatever context it runs in."""

    def nested():
        flights = Flights()
        flights.board("k")
        flight, leads = Context().run(flights.board, "k")
        return leads, run(flight.wait())

    assert in_a_thread(nested) == (False, Landing.NOT_STORED)


def test_a_blocking_caller_does_not_wait_for_an_event_loop():
    """The loop of the leader may be the one that the caller blocks."""

    async def main():
        flights = Flights()
        flights.board("k")
        flight, _ = flights.board("k")
        return run(flight.wait())

    assert in_a_thread(lambda: asyncio.run(main())) is Landing.NOT_STORED


async def test_a_model_that_asks_itself_leads_a_flight_of_its_own():
    """Wrapped twice in one cache: the inner call boards a flight that nobody else sees."""
    flights = Flights()
    outer, _ = flights.board("k")

    async def ainner():
        return inner()

    def inner():
        flight, leads = flights.board("k")
        flight.land(Landing.STORED)
        return leads, flight is outer

    assert outer.lead(inner)() == (True, False)
    assert await outer.alead(ainner)() == (True, False)
    assert flights.board("k") == (outer, False)
    outer.land(Landing.STORED)
    assert await arun(outer.wait()) is Landing.STORED
