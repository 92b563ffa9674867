"""Flows: one orchestration, two drivers."""

import asyncio
import threading

import pytest

from semcache_core.steps import arun, blocking, run, step


async def double(value):
    await asyncio.sleep(0)
    return 2 * value


def flow(value, log):
    try:
        first = yield from step(lambda v: 2 * v, double, value)
        return (yield from step(lambda v: 2 * v, double, first))
    finally:
        log.append("closed")


def test_both_drivers_return_the_same():
    """The same flow runs in a thread and on a loop."""
    log = []
    assert run(flow(1, log)) == asyncio.run(arun(flow(1, log))) == 4
    assert log == ["closed", "closed"]


def failing(log):
    def boom():
        raise KeyError("sync")

    async def aboom():
        raise KeyError("async")

    try:
        yield from step(boom, aboom)
    except KeyError as error:
        log.append(error.args[0])
    return "went on"


def test_a_steps_error_can_be_caught_inside():
    """The flow decides; both drivers hand the error in."""
    log = []
    assert run(failing(log)) == "went on"
    assert asyncio.run(arun(failing(log))) == "went on"
    assert log == ["sync", "async"]


async def test_cancellation_runs_finally():
    """A cancelled flow cleans up."""
    log = []

    def sleeping():
        try:
            yield from step(lambda: None, asyncio.sleep, 60)
        finally:
            log.append("closed")

    task = asyncio.create_task(arun(sleeping()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["closed"]


async def test_a_blocking_step_leaves_the_loop():
    """Its asynchronous form runs in a worker thread."""
    assert run(blocking(threading.get_ident)) == threading.get_ident()
    assert await arun(blocking(threading.get_ident)) != threading.get_ident()
