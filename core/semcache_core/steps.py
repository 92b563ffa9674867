"""Orchestration written once: generators yield steps, a sync and an async driver run them.

A step names a seam's method and its asynchronous twin; which of the two runs is the driver's
choice. `finally` blocks of a flow run on errors and on cancellation alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Step:
    """One call that a flow needs done."""

    sync: Callable[[], Any]
    asynchronous: Callable[[], Awaitable[Any]]


Flow = Generator[Step, Any, R]


def step(
    sync: Callable[P, R],
    asynchronous: Callable[P, Awaitable[R]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Flow[R]:
    """`result = yield from step(seam.embed, seam.aembed, texts)`, typed."""
    result: R = yield Step(lambda: sync(*args, **kwargs), lambda: asynchronous(*args, **kwargs))
    return result


def blocking(sync: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Flow[R]:
    """A step whose asynchronous form is a worker thread."""
    result: R = yield Step(
        lambda: sync(*args, **kwargs), lambda: asyncio.to_thread(sync, *args, **kwargs)
    )
    return result


def offloaded(flow: Flow[R]) -> Flow[R]:
    """A flow as one step, whose asynchronous form is one worker thread for all of its steps.

    To go to a thread and back takes longer than many a step.
    """
    return blocking(run, flow)


def run(flow: Flow[R]) -> R:
    """Drive a flow in this thread."""
    try:
        wanted = next(flow)
        while True:
            try:
                result = wanted.sync()
            except BaseException as error:  # noqa: BLE001  # the flow decides what to catch
                wanted = flow.throw(error)
            else:
                wanted = flow.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # the flow's type says what it is


async def arun(flow: Flow[R]) -> R:
    """Drive a flow on the event loop."""
    try:
        wanted = next(flow)
        while True:
            try:
                result = await wanted.asynchronous()
            except BaseException as error:  # noqa: BLE001  # the flow decides what to catch
                wanted = flow.throw(error)
            else:
                wanted = flow.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
