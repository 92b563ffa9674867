"""The class that joins a record and an index."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterator, Sequence

from semcache_core.errors import ConfigError, StoreClosed, StoreError
from semcache_core.expiry import Limits, admitted, check_ttl, dated
from semcache_core.models import Candidate, Entry, Vector
from semcache_core.protocols import Clock, EntryStore, ForkAware, Maintained, VectorIndex
from semcache_core.store.claim import Claim
from semcache_core.store.eviction import Evictor, make_evictor
from semcache_core.store.follower import Follower
from semcache_core.store.forks import guard
from semcache_core.store.health import Health, health
from semcache_core.store.hot import HotTier
from semcache_core.store.reader import Reader
from semcache_core.store.uses import Uses
from semcache_core.store.vectors import Vectors
from semcache_core.store.worker import Every, Worker
from semcache_core.store.writer import Writer

_log = logging.getLogger(__name__)

_USES_EVERY = 1.0
"""Seconds between two writes of use counts."""
_PURGE_EVERY = 60.0
"""Seconds between two looks for entries that expired."""
_STOPPING = 20.0
"""Seconds that closing waits for the background thread."""
_HOT_BYTES = 256 * 1024 * 1024
_ENTRY_BYTES = 16 * 1024 * 1024


class Store:
    """The record (what must not be lost), the index (found again from it), and a hot tier.

    Takes over `entries` and `index` and closes them. Thread-safe; usable in a forked child, which
    gets connections and threads of its own. `a`-methods run in a worker thread.

    What this process puts or deletes is seen by it at once. What OTHER processes do is seen after
    at most `poll` seconds; a candidate from the index is checked against its row in any case.

    `identity` names the embedder, and `probe` embeds a known text where the name alone says little;
    a record with vectors of another is refused (`IncompatibleError`). `ttl` is in seconds, for
    entries without an end of their own; `hot` counts entries. `failed` is told of each failure that
    no caller sees, as it happened behind the requests. Raises `ConfigError` for arguments that
    cannot work.

    An entry of more than `max_entry_bytes` is not kept, and not served if somebody else wrote it.

    Writing waits about a second for another process's write (`waiting.PATIENCE`), and is then
    given up.
    """

    def __init__(
        self,
        entries: EntryStore,
        index: VectorIndex,
        *,
        identity: str,
        dimension: Callable[[], int] | None = None,
        probe: Callable[[], Vector] | None = None,
        clock: Clock = time.time,
        ttl: float | None = None,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        max_entry_bytes: int | None = _ENTRY_BYTES,
        eviction: str = "lru",
        hot: int = 100_000,
        poll: float = 0.5,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        check_ttl(ttl)
        _check_numbers(hot=hot, poll=poll)
        self._limits = Limits(max_entries, max_bytes, eviction, max_entry_bytes)
        self._entries, self._index = entries, index
        self._clock, self._ttl = clock, ttl
        claim = Claim(entries, identity, probe)
        claim.check()
        self._hot = HotTier(hot, _HOT_BYTES)
        self._follower = Follower(entries, index, self._hot, poll, failed)
        self._uses = Uses()
        self._evictor = make_evictor(entries, self._limits)
        self._vectors = Vectors(claim, self._follower, dimension)
        self._reader = self._make_reader()
        self._writer = self._make_writer()
        self._closed = False
        self._writing_uses, self._purging = Every(_USES_EVERY), Every(_PURGE_EVERY)
        self._worker = Worker(self._chores, "semcache-store", failed)
        self._finish = weakref.finalize(
            self, _finish, self._worker, self._uses, self._evictor, self._entries, self._index
        )
        guard(self)
        if isinstance(index, Maintained):
            index.attach(self._worker.wake)

    def _make_reader(self) -> Reader:
        largest = self._limits.max_entry_bytes
        return Reader(
            self._index,
            self._follower,
            self._hot,
            self._vectors,
            clock=self._clock,
            largest=math.inf if largest is None else largest,
        )

    def _make_writer(self) -> Writer:
        return Writer(
            self._entries,
            self._follower,
            self._hot,
            self._vectors,
            evictor=self._evictor,
            uses=self._uses,
            limits=self._limits,
            clock=self._clock,
        )

    # -- reading ----------------------------------------------------------------------------

    def hot(self, key: str) -> Entry | None:
        """The entry if this process's memory has it and it is certainly current. No I/O."""
        self._check_open()
        return self._reader.hot(key)

    def get(self, key: str) -> Entry | None:
        """The entry with this key, from memory or from the record; never an expired one.

        Raises `StoreError`.
        """
        self._check_open()
        return self._reader.get(key)

    def nearest(self, scope: str, vector: Vector, k: int, floor: float = -1.0) -> list[Candidate]:
        """At most k entries of the scope with a similarity of at least `floor`, nearest first.

        Each is as the record has it now: of this scope, not expired, with its payload. `vector`
        has unit length. Raises `StoreError`.
        """
        self._check_open()
        return self._reader.nearest(scope, vector, k, floor)

    def entries(self, namespace: str | None = None) -> Iterator[Entry]:
        """All entries (of a namespace), oldest first, a few at a time; expired ones included."""
        self._check_open()
        return self._entries.entries(namespace)

    def count(self) -> int:
        """Number of entries, expired ones included until they are purged."""
        self._check_open()
        return self._entries.figures().count

    def size(self) -> int:
        """Sum of `Entry.size`, in bytes."""
        self._check_open()
        return self._entries.figures().size

    def meta(self, name: str) -> str | None:
        """A small value kept beside the entries."""
        self._check_open()
        return self._entries.meta(name)

    def health(self) -> Health:
        """How the store is doing."""
        self._check_open()
        return health(self._entries, self._index, len(self._hot))

    # -- writing ----------------------------------------------------------------------------

    def put(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keep entries, replacing those with their keys; durable on return.

        Returns them as committed, with their seq; an entry that cannot be kept, as it alone is
        over `max_bytes` or `max_entry_bytes`, has seq 0. What is over the limits is evicted first.

        Raises `ConfigError` for a vector that cannot be one, `StoreError`.
        """
        self._check_open()
        given = [dated(entry, self._ttl) for entry in entries]
        self._vectors.check_all(given)
        if batch := admitted(given, self._limits):
            committed = {entry.key: entry for entry in self._writer.put(batch)}
            self._worker.start()
            return [committed.get(entry.key, entry) for entry in given]
        return given

    def touch(self, key: str) -> None:
        """Count a use; written behind. Uses decide about evictions, but for "fifo", "random"."""
        self._check_open()
        self._evictor.used(key)
        waiting = len(self._uses)
        self._uses.add(key, self._clock())
        if not waiting:  # once, and not at every further use of the same entry
            self._worker.wake()

    def delete(self, keys: Sequence[str]) -> list[str]:
        """Delete entries; returns the keys that existed. Raises `StoreError`."""
        self._check_open()
        return self._writer.delete(keys)

    def clear(self, namespace: str | None = None) -> int:
        """Delete all entries (of a namespace); returns how many. Raises `StoreError`."""
        self._check_open()
        return self._writer.clear(namespace)

    def set_meta(self, name: str, value: str) -> None:
        """Keep a small value beside the entries. Raises `StoreError`."""
        self._check_open()
        self._entries.set_meta(name, value)

    def swap_meta(self, name: str, old: str | None, new: str) -> bool:
        """Set it only if it is `old` now; whether it was. Raises `StoreError`."""
        self._check_open()
        return self._entries.swap_meta(name, old, new)

    def flush(self) -> None:
        """Return when use counts and the index are written. Raises `StoreError`."""
        self._check_open()
        self._uses.write(self._entries)
        if isinstance(self._index, Maintained):
            self._index.flush()

    def close(self) -> None:
        """Write what is pending and let go of files and threads; safe to call again."""
        self._closed = True
        self._finish()

    # -- for the event loop -----------------------------------------------------------------

    async def aget(self, key: str) -> Entry | None:
        return await asyncio.to_thread(self.get, key)

    async def anearest(
        self, scope: str, vector: Vector, k: int, floor: float = -1.0
    ) -> list[Candidate]:
        return await asyncio.to_thread(self.nearest, scope, vector, k, floor)

    async def aput(self, entries: Sequence[Entry]) -> list[Entry]:
        return await asyncio.to_thread(self.put, entries)

    async def adelete(self, keys: Sequence[str]) -> list[str]:
        return await asyncio.to_thread(self.delete, keys)

    async def aclear(self, namespace: str | None = None) -> int:
        return await asyncio.to_thread(self.clear, namespace)

    async def aflush(self) -> None:
        await asyncio.to_thread(self.flush)

    async def aclose(self) -> None:
        await asyncio.to_thread(self.close)

    # -- inside: behind the requests --------------------------------------------------------

    def _chores(self) -> float:
        """What the worker does; seconds until it is worth calling again."""
        pause = self._index.maintain() if isinstance(self._index, Maintained) else math.inf
        if len(self._uses):
            pause = min(pause, self._writing_uses.run(lambda: self._uses.write(self._entries)))
        return min(pause, self._purging.run(self._writer.purge))

    # -- inside: life and forks -------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store was used after close()")

    def before_fork(self) -> None:
        """Come to rest; called by the interpreter."""
        self._writer.before_fork()
        for part in (self._entries, self._index):
            if isinstance(part, ForkAware):
                part.before_fork()

    def after_fork(self, child: bool) -> None:
        """Go on, or start anew in the child; called by the interpreter."""
        for part in (self._entries, self._index):
            if isinstance(part, ForkAware):
                part.after_fork(child)
        if not child:
            self._writer.release()
            return
        self._writer.reset()
        self._follower.reset()
        self._uses.reset()
        self._evictor.reset()
        self._worker.reset()


def _check_numbers(**given: float) -> None:
    for name, value in given.items():
        if not (isinstance(value, int | float) and value >= 0):
            raise ConfigError(f"{name} is a number of at least 0; got {value!r}")


def _finish(
    worker: Worker, uses: Uses, evictor: Evictor, entries: EntryStore, index: VectorIndex
) -> None:
    """Close the parts. Outside of the class, so that a store that is dropped can be collected."""
    worker.stop(_STOPPING)
    steps: tuple[Callable[[], None], ...] = (
        lambda: uses.write(entries),
        evictor.save,
        index.close,
        entries.close,
    )
    for step in steps:
        try:
            step()
        except StoreError as error:
            _log.warning("semcache: closing the store: %s", error)
