"""Iterations of which each step runs inside a context manager of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def stepped(items: Iterator[T], frame: Callable[[], Any]) -> Iterator[T]:
    """Each step of the iteration inside a frame of its own.

    A frame around the whole generator would leak into the consumer between two chunks, and would be
    left in another context than it was entered when the generator is dropped.
    """
    try:
        while True:
            with frame():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    finally:
        if (close := getattr(items, "close", None)) is not None:
            close()


async def astepped(items: AsyncIterator[T], frame: Callable[[], Any]) -> AsyncIterator[T]:
    """As `stepped`, on the event loop."""
    try:
        while True:
            with frame():
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    return
            yield item
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
