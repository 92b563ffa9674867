"""One stream read by several: whoever wants the next chunk first has it fetched, the others wait.

The rule that keeps readers from ever waiting for one another's consumers: a chunk is fetched on
behalf of the reader that wants it, never left to the reader that came first. So a reader waits only
while a fetch is under way, which depends on the model alone: not on a generator that lies suspended
in the same thread (`zip(stream(x), stream(x))`), nor in one that waits for this reader. Rejected:
followers that wait until the leader's stream is stored. They hang in both of these cases, and
see no chunk before the last.

A relay is shared by the threads of a process, or by the tasks of one event loop. A model that asks
itself the same through the same cache is given a stream of its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextvars import Context, ContextVar
from threading import Lock, RLock
from typing import Any, Generic, TypeVar

from semcache_core.forks import ForkedChild
from semcache_core.steps import Flow, arun, run

C = TypeVar("C")
R = TypeVar("R", bound="Shared[Any]")
Finish = Callable[[list[C]], Flow[None]]
AsyncSource = Callable[[], AsyncIterator[C] | Awaitable[AsyncIterator[C]]]

_fetching: ContextVar[frozenset[int]] = ContextVar("semcache_fetching", default=frozenset())


class Shared(Generic[C]):
    """What a stream has brought so far, and who still reads it."""

    def __init__(self, finish: Finish[C], context: Context) -> None:
        """`context` is this stream's own: every part of the source runs in it, whoever reads."""
        self.chunks: list[C] = []
        self.over = False
        self.error: BaseException | None = None
        self._readers = 1
        # Reentrant: the collector may finalise another reader while this thread holds it.
        self._gate = RLock()
        self.withdraw: Callable[[], None] = lambda: None
        """Takes the stream off the list of those that newcomers may join."""
        self._finish = finish
        self._context = context
        context.run(lambda: _fetching.set(_fetching.get() | {id(self)}))

    def join(self) -> bool:
        """One reader more, unless the stream is over or was abandoned."""
        with self._gate:
            joined = self._readers > 0 and not self.over
            self._readers += joined
            return joined

    def _left(self) -> bool:
        """One reader less: whether it was the last of a stream that is not over."""
        with self._gate:
            self._readers -= 1
            return self._readers == 0 and not self.over

    def _end(self, error: BaseException | None = None) -> None:
        self.error = error
        self.over = True
        self.withdraw()

    def _settled(self, number: int) -> bool | None:
        """Whether there is such a chunk; None while that is open. Raises the source's error."""
        if number < len(self.chunks):
            return True
        if self.error is not None:
            raise self.error
        return False if self.over else None


class Relay(Shared[C]):
    """A stream for the threads of this process. `finish` is run after normal exhaustion only."""

    def __init__(
        self, source: Callable[[], Iterator[C]], finish: Finish[C], context: Context
    ) -> None:
        super().__init__(finish, context)
        self._open = source
        self._source: Iterator[C] | None = None
        self._turn = Lock()

    def reach(self, number: int) -> bool:
        """Whether there is a chunk of that number (from 0), fetching it if nobody has."""
        with self._turn:
            settled = self._settled(number)
            return self._fetch() if settled is None else settled

    def leave(self) -> None:
        """One reader less; after the last, the source is closed."""
        if self._left():
            self._end()
            if (close := getattr(self._source, "close", None)) is not None:
                self._context.run(close)

    def _fetch(self) -> bool:
        try:
            if self._source is None:
                self._source = self._context.run(self._open)
            self.chunks.append(self._context.run(next, self._source))
        except StopIteration:
            run(self._finish(self.chunks))
            self._end()
            return False
        except BaseException as error:
            self._end(error)
            raise
        return True


class AsyncRelay(Shared[C]):
    """A stream for the tasks of one event loop.

    One task of its own runs the source from beginning to end (cancel scopes inside a source must
    not change tasks), a chunk at a time and only on demand, so that a consumer who leaves early
    finds the source no further than itself.
    """

    def __init__(self, source: AsyncSource[C], finish: Finish[C], context: Context) -> None:
        super().__init__(finish, context)
        self._source = source
        self._wanted = 0
        self._demand = asyncio.Event()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def reach(self, number: int) -> bool:
        """Whether there is a chunk of that number (from 0), fetching it if nobody has."""
        self._wanted = max(self._wanted, number + 1)
        self._demand.set()
        if self._task is None:
            self._task = self._context.run(asyncio.ensure_future, self._pump())
        while (settled := self._settled(number)) is None:
            await self._news.wait()
        return settled

    async def leave(self) -> None:
        """One reader less; after the last, the source is closed."""
        if not self._left():
            return
        self.withdraw()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _pump(self) -> None:
        try:
            await self._bring()
            await arun(self._finish(self.chunks))
        except BaseException as error:  # noqa: BLE001  # raised again to whoever reads
            self._end(error)
        else:
            self._end()
        finally:
            self._news.set()

    async def _bring(self) -> None:
        opened = self._source()
        source = await opened if inspect.isawaitable(opened) else opened
        try:
            async for chunk in source:
                self.chunks.append(chunk)
                self._tell()
                await self._asked_for_more()
        finally:
            if (close := getattr(source, "aclose", None)) is not None:
                await close()

    def _tell(self) -> None:
        self._news.set()
        self._news.clear()

    async def _asked_for_more(self) -> None:
        while self._wanted <= len(self.chunks):
            self._demand.clear()
            await self._demand.wait()


class Relays(ForkedChild):
    """The streams of one cache that are under way, by key."""

    def __init__(self) -> None:
        self.in_forked_child()
        self.watch_forks()

    def in_forked_child(self) -> None:
        """The parent's streams are read there."""
        self._relays: dict[Hashable, Shared[Any]] = {}
        self._lock = RLock()

    def board(self, key: Hashable, make: Callable[[], R]) -> tuple[R, bool]:
        """The stream of this key, and whether the caller is its first reader."""
        with self._lock:
            found: Any = self._relays.get(key)
            if found is not None and id(found) in _fetching.get():
                return make(), True
            if found is not None and found.join():
                return found, False
            self._relays[key] = relay = make()
            relay.withdraw = lambda: self._withdraw(key, relay)
            return relay, True

    def _withdraw(self, key: Hashable, relay: Shared[Any]) -> None:
        with self._lock:
            if self._relays.get(key) is relay:
                del self._relays[key]

    def __len__(self) -> int:
        return len(self._relays)
