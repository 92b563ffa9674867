"""The class that joins a record and an index."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from semcache_core.errors import (
    ConfigError,
    StoreClosed,
    StoreError,
    StoreReplaced,
)
from semcache_core.expiry import Limits, admitted, check_ttl, dated, excess
from semcache_core.models import Candidate, Entry, IndexStatus, Neighbour, Vector
from semcache_core.protocols import Clock, EntryStore, Floored, ForkAware, Maintained, VectorIndex
from semcache_core.store.claim import Claim
from semcache_core.store.eviction import Evictor, make_evictor
from semcache_core.store.follower import Follower
from semcache_core.store.forks import guard
from semcache_core.store.hot import HotTier
from semcache_core.store.uses import Uses
from semcache_core.store.worker import Every, Worker
from semcache_core.waiting import Queue

_log = logging.getLogger(__name__)

_USES_EVERY = 1.0
"""Seconds between two writes of use counts."""
_PURGE_EVERY = 60.0
"""Seconds between two looks for entries that expired."""
_PURGED = 500
"""Expired entries deleted at once, so that a put waits for no more than those."""
_STOPPING = 20.0
"""Seconds that closing waits for the background thread."""
_SPARE = 4
"""Neighbours asked for beyond k, as some may have expired or been replaced."""
_ROUNDING = 1e-4
"""How far an index's similarity may be off the exact one that is computed from the row."""
_HIGHEST = 1.01
"""A cosine above this, beyond rounding, comes from a vector that was damaged on the disk."""
_HOT_BYTES = 256 * 1024 * 1024
_ENTRY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Health:
    """How a store is doing."""

    rows: int
    """Entries in the record, expired ones included until they are purged."""
    size: int
    """Their bytes, as `Entry.size` counts them."""
    seq: int
    """The record's newest change."""
    indexed: int
    """The change up to which the index on disk is complete; equal to `seq` if it has none."""
    pending: int
    """Entries that wait to be written to the index; lookups see them all the same."""
    index: str
    """What the index is doing, in a word or two."""
    owner: bool
    """Whether this process writes the index."""
    read_only: bool
    hot: int
    """Entries in this process's memory."""


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
        self._largest = math.inf if max_entry_bytes is None else max_entry_bytes
        self._entries, self._index = entries, index
        self._floored = index if isinstance(index, Floored) else None
        self._dimension = dimension
        self._clock, self._ttl = clock, ttl
        self._claim = Claim(entries, identity, probe)
        self._claim.check()
        self._hot = HotTier(hot, _HOT_BYTES)
        self._failed = failed
        self._follower = Follower(entries, index, self._hot, poll, failed)
        self._uses = Uses()
        self._evictor = make_evictor(entries, self._limits)
        self._writing, self._queue = threading.RLock(), Queue()
        self._staked = -1
        self._closed = False
        self._writing_uses, self._purging = Every(_USES_EVERY), Every(_PURGE_EVERY)
        self._worker = Worker(self._chores, "semcache-store", failed)
        self._finish = weakref.finalize(
            self, _finish, self._worker, self._uses, self._evictor, self._entries, self._index
        )
        guard(self)
        if isinstance(index, Maintained):
            index.attach(self._worker.wake)

    # -- reading ----------------------------------------------------------------------------

    def hot(self, key: str) -> Entry | None:
        """The entry if this process's memory has it and it is certainly current. No I/O."""
        self._check_open()
        if not self._follower.fresh:
            return None  # others' changes are to be looked for first, which `get` does
        entry = self._hot.get(key)
        return entry if entry is not None and self._servable(entry, self._clock()) else None

    def get(self, key: str) -> Entry | None:
        """The entry with this key, from memory or from the record; never an expired one.

        Raises `StoreError`.
        """
        self._check_open()
        self._follower.look()
        entry = self._hot.get(key) or self._follower.fetch([key]).get(key)
        return entry if entry is not None and self._servable(entry, self._clock()) else None

    def nearest(self, scope: str, vector: Vector, k: int, floor: float = -1.0) -> list[Candidate]:
        """At most k entries of the scope with a similarity of at least `floor`, nearest first.

        Each is as the record has it now: of this scope, not expired, with its payload. `vector`
        has unit length. Raises `StoreError`.
        """
        self._check_open()
        self._check_vector("the query", vector)
        self._follower.look()
        self._check_claim(vector)
        wanted = k + _SPARE
        while True:
            found = self._found(scope, vector, wanted, floor - _ROUNDING)
            near = [neighbour for neighbour in found if neighbour.similarity >= floor - _ROUNDING]
            candidates = self._current(scope, vector, near, floor)
            if len(candidates) >= k or len(near) < wanted:
                return candidates[:k]
            wanted *= 4  # what expired or was replaced stands in the way of what is behind it

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
        figures = self._entries.figures()
        status = IndexStatus()
        if isinstance(self._index, Maintained):
            status = self._index.status()
        return Health(
            rows=figures.count,
            size=figures.size,
            seq=figures.seq,
            indexed=figures.seq if status.seq is None else status.seq,
            pending=status.pending,
            index=status.state,
            owner=status.owner,
            read_only=self._entries.read_only,
            hot=len(self._hot),
        )

    # -- writing ----------------------------------------------------------------------------

    def put(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keep entries, replacing those with their keys; durable on return.

        Returns them as committed, with their seq; an entry that cannot be kept, as it alone is
        over `max_bytes` or `max_entry_bytes`, has seq 0. What is over the limits is evicted first.

        Raises `ConfigError` for a vector that cannot be one, `StoreError`.
        """
        self._check_open()
        given = [dated(entry, self._ttl) for entry in entries]
        self._check_vectors(given)
        if batch := admitted(given, self._limits):
            with self._queue.turn(self._writing):
                committed = {entry.key: entry for entry in self._put(batch)}
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
        with self._queue.turn(self._writing):
            return self._delete(keys)

    def clear(self, namespace: str | None = None) -> int:
        """Delete all entries (of a namespace); returns how many. Raises `StoreError`."""
        self._check_open()
        with self._queue.turn(self._writing):
            count = self._entries.clear(namespace)
            if namespace is None:
                self._claim.withdraw()
                self._staked = -1
            self._follower.catch_up()
        return count

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

    # -- inside: reading --------------------------------------------------------------------

    def _found(self, scope: str, vector: Vector, k: int, floor: float) -> list[Neighbour]:
        if self._floored is None:
            return self._index.nearest(scope, vector, k)
        return self._floored.nearest(scope, vector, k, floor)

    def _current(
        self, scope: str, vector: Vector, near: Sequence[Neighbour], floor: float
    ) -> list[Candidate]:
        """The candidates as their rows have them now, nearest first.

        The similarity is computed anew from the row's own vector, so that nothing depends on how
        far the index is behind, or on what it rounds.
        """
        if not near:
            return []
        now = self._clock()
        candidates = [
            Candidate(row, similarity)
            for row in self._rows([neighbour.key for neighbour in near]).values()
            if row.vector is not None
            and row.scope == scope
            and self._servable(row, now)
            and floor <= (similarity := float(row.vector @ vector)) <= _HIGHEST
        ]
        return sorted(candidates, key=lambda candidate: -candidate.similarity)

    def _servable(self, entry: Entry, now: float) -> bool:
        return not entry.expired(now) and len(entry.payload) <= self._largest

    def _rows(self, keys: Sequence[str]) -> dict[str, Entry]:
        held = {key: entry for key in keys if (entry := self._hot.get(key))}
        missing = [key for key in keys if key not in held]
        return held | (self._follower.fetch(missing) if missing else {})

    # -- inside: writing --------------------------------------------------------------------

    def _put(self, batch: Sequence[Entry]) -> list[Entry]:
        try:
            return self._put_once(batch)
        except StoreReplaced:
            return self._put_once(batch)

    def _put_once(self, batch: Sequence[Entry]) -> list[Entry]:
        self._make_room(batch)
        if self._follower.exchanged:
            self._follower.catch_up()
        self._stake(batch)
        epoch = self._hot.epoch
        committed = self._entries.put(batch)
        for entry in committed:
            self._evictor.used(entry.key)
        self._follower.written(committed, epoch)
        return committed

    def _delete(self, keys: Sequence[str]) -> list[str]:
        changes = self._entries.delete(keys)
        self._follower.deleted(changes)
        return [change.key for change in changes]

    def _make_room(self, batch: Sequence[Entry]) -> None:
        over = excess(self._entries.figures(), batch, self._limits)
        if over is not None:
            self._uses.write(self._entries)
        while over is not None:
            if not self._delete(self._evictor.victims(over, self._clock())):
                return  # none is left, or somebody else took them just now
            over = excess(self._entries.figures(), batch, self._limits)

    def _stake(self, batch: Sequence[Entry]) -> None:
        """Note whose vectors these are, before the first is written."""
        vector = next((entry.vector for entry in batch if entry.vector is not None), None)
        restarts = self._follower.restarts  # somebody may have cleared the record meanwhile
        if vector is not None and self._staked != restarts:
            self._claim.stake(vector)
            self._staked = restarts

    def _check_claim(self, vector: Vector) -> None:
        """Compare vectors only with the same embedder's."""
        restarts = self._follower.restarts
        if self._staked != restarts and self._claim.check(vector.size):
            self._staked = restarts

    def _check_vectors(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            if entry.vector is not None:
                self._check_vector(f"entry {entry.key[:12]}", entry.vector)

    def _check_vector(self, owner: str, vector: Vector) -> None:
        expected = self._dimension() if self._dimension else vector.size
        if vector.dtype != np.float32 or vector.shape != (expected,):
            raise ConfigError(
                f"{owner}: its vector should be float32 of shape ({expected},);"
                f" got {vector.dtype} of shape {vector.shape}"
            )
        # Written so that a vector with a NaN fails as well.
        if not abs(float(vector @ vector) - 1.0) < 1e-2:
            raise ConfigError(f"{owner}: its vector is not of unit length")

    # -- inside: behind the requests --------------------------------------------------------

    def _chores(self) -> float:
        """What the worker does; seconds until it is worth calling again."""
        pause = self._index.maintain() if isinstance(self._index, Maintained) else math.inf
        if len(self._uses):
            pause = min(pause, self._writing_uses.run(lambda: self._uses.write(self._entries)))
        return min(pause, self._purging.run(self._purge))

    def _purge(self) -> None:
        if self._entries.read_only:
            return
        while keys := self._entries.expired(self._clock(), _PURGED):
            with self._queue.turn(self._writing):
                self._delete(keys)

    # -- inside: life and forks -------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store was used after close()")

    def before_fork(self) -> None:
        """Come to rest; called by the interpreter."""
        self._writing.acquire()
        for part in (self._entries, self._index):
            if isinstance(part, ForkAware):
                part.before_fork()

    def after_fork(self, child: bool) -> None:
        """Go on, or start anew in the child; called by the interpreter."""
        for part in (self._entries, self._index):
            if isinstance(part, ForkAware):
                part.after_fork(child)
        if not child:
            self._writing.release()
            return
        self._writing = threading.RLock()
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
