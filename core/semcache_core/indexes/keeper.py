"""Keeps a large index up to date with the record, a bounded step at a time.

The record's log is the queue: nothing is handed over in memory, so a crash loses nothing, no
burst of puts fills the memory, and what other processes write arrives in the same way.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterable

from semcache_core.errors import StoreError
from semcache_core.indexes.building import Building
from semcache_core.indexes.held import Held, Serving, record_id
from semcache_core.indexes.homes import Home
from semcache_core.indexes.inspection import Useless, expect, inspect
from semcache_core.indexes.large import IndexFailed, LargeIndex
from semcache_core.indexes.pace import Pace
from semcache_core.indexes.tails import Tails
from semcache_core.protocols import EntryStore

_log = logging.getLogger(__name__)

_LINES = 256
"""Lines of the log that are read at once; most may be of other scopes."""
_BATCH_EVERY = 0.05
_IDLE = 1.0
"""Seconds between looks for what other processes wrote."""
_RETRY = 5.0
_CLOSING = 20.0
"""Seconds that closing waits for a step that hangs; a step takes a tenth of a second."""


class Keeper:
    """The one who writes the index, or waits to be.

    `serving` may be read by any thread. `limit` says up to how many entries of a scope none is
    needed; `dropped` is told which scopes need not be held in memory
    any longer.
    """

    def __init__(
        self,
        record: EntryStore,
        home: Home,
        tails: Tails,
        limit: Callable[[], int],
        dropped: Callable[[Iterable[str]], None],
    ) -> None:
        self._record, self._home, self._tails = record, home, tails
        self._limit, self._dropped = limit, dropped
        self.wake: Callable[[], None] = lambda: None
        self._begin_anew()
        if not home.exists():
            self.settled.set()

    def _begin_anew(self) -> None:
        self._stepping = threading.RLock()
        self.settled = threading.Event()
        """Set when it is known whether there is an index to search."""
        self.serving: Serving | None = None
        self.writing = False
        self.error = ""
        self.pace = Pace()
        self._held: Held | None = None
        self._job: Building | None = None
        self._wanted: dict[str, None] = {}
        self._goal: int | None = 0
        """The seq from which on the index may serve; None: to be found out."""
        self._broken = self._closed = False

    # -- for any thread ---------------------------------------------------------------------

    def want(self, scope: str) -> None:
        """The scope has become too large to be scanned."""
        held = self._held
        if scope not in self._wanted and (held is None or scope not in held.scopes):
            self._wanted[scope] = None
            self.wake()

    def report(self, serving: Serving, error: IndexFailed) -> None:
        """A search failed: nobody should try again before the index was looked at."""
        if self.serving is serving:
            _log.warning("the index failed and is not used until it was tested: %s", error)
            self.serving, self._broken = None, True
            self.wake()

    def restart(self) -> None:
        """Too much changed for the tails to follow: catch up before serving again."""
        self.serving = None
        self._tails.keep(())
        self._goal = None
        self.wake()

    @property
    def seq(self) -> int | None:
        """How far the index has followed the record; None if there is none."""
        held = self._held
        return None if held is None else held.seq

    @property
    def active(self) -> bool:
        """Whether there is an index that has to follow the record."""
        return self._held is not None or self._job is not None

    @property
    def state(self) -> str:
        """What is going on, in a word or two."""
        job = self._job
        if job is not None:
            return f"building, {job.percent}%"
        if self.error:
            return f"failed: {self.error}"
        if (serving := self.serving) is not None:
            return serving.index.kind
        if not self.settled.is_set():
            return "opening"
        return "scan" if self._held is None else "catching up"

    def pending(self) -> bool:
        """Whether there is work to do. Waits for a step that another thread is in."""
        with self._stepping:
            held = self._held
            if self._job is not None or self._wanted:
                return True
            if held is None:
                return False
            return self.serving is None or held.seq < self._record.figures().seq

    # -- one step ---------------------------------------------------------------------------

    def step(self, *, hurry: bool = False) -> float:
        """Do a bounded piece of work; seconds until the next is worth a call.

        `hurry`: without the pauses that searches are left.
        """
        with self._stepping:
            left = self.pace.left()
            if self._closed or (left > 0 and not (hurry and not self.error)):
                return math.inf if self._closed else left
            self.pace.begin(hurry=hurry)
            try:
                pause = self._step()
            except IndexFailed as error:
                return self._failed(error)
            except StoreError as error:
                _log.warning("the index waits for the record: %s", error)
                return self.pace.later(_RETRY)
            self.error = ""
            return self.pace.done(pause, _IDLE)

    def _step(self) -> float:
        if self._broken:
            raise IndexFailed("a search failed")
        if self._held is None and self._job is None:
            return self._begin()
        writing = self._home.acquire()
        if writing != self.writing:
            return self._change_sides(writing)
        if self._goal is None:
            self._catch_up()
        if self._job is not None:
            return self._build(self._job)
        return 0.0 if self._held is None else self._keep(self._held)

    def _keep(self, held: Held) -> float:
        if not self.writing:
            return self._read_along(held)
        if new := [scope for scope in list(self._wanted) if scope not in held.scopes]:
            return self._promote(held, new)
        return self._follow(held)

    # -- opening ----------------------------------------------------------------------------

    def _begin(self) -> float:
        if not self._wanted and (self.settled.is_set() or not self._home.exists()):
            self.settled.set()
            return math.inf
        self.writing = self._home.acquire()
        index = self._found() if self.writing or self._home.open_to_readers else None
        if index is not None:
            self._adopt(index)
            return 0.0
        self.settled.set()
        return self._rebuild(self._wanted) if self.writing else self.pace.later(_RETRY)

    def _found(self) -> LargeIndex | None:
        """The index that is there, if it is this record's."""
        index = self._home.open()
        if index is None or index.state.record == record_id(self._record):
            return index
        _log.warning("the index was made from another record, and is removed")
        self._home.retire(index)
        return None

    def _adopt(self, index: LargeIndex) -> None:
        self._held = Held(index, set(index.state.scopes), index.state.seq)
        self._forget_wanted(index.state.scopes)
        self._catch_up()

    def _catch_up(self) -> None:
        """Serve when all that is there now has been followed; what comes next is in the tails."""
        self._abandon_job()
        self._goal = 0
        if (held := self._held) is None:
            return
        self._tails.follow(held.scopes)
        self._goal = self._record.figures().seq
        if self._goal < held.seq:
            raise Useless("the index knows of changes that the record does not have")

    def _change_sides(self, writing: bool) -> float:
        """Another process's turn to write, or ours: begin from what is on disk."""
        self._let_go(clean=True)
        self.writing = writing
        return 0.0

    # -- following --------------------------------------------------------------------------

    def _follow(self, held: Held) -> float:
        self._home.looked_after(held.index)
        changes = self._record.changes(held.seq, _LINES)
        if changes is None:
            return self._rebuild(held.scopes)
        relevant = [change for change in changes if change.scope in held.scopes]
        batch = relevant[: self.pace.batch]
        if batch:
            held.index.apply(batch)
            held.check(batch)
        if changes:
            held.seq = (changes if batch == relevant else batch)[-1].seq
            self._tails.trim(held.seq)
        held.save(self._record)
        if len(changes) == _LINES or batch != relevant:
            return 0.0
        if self.serving is None and held.seq >= (self._goal or 0):
            inspect(held.index, self._record, held.scopes, held.seq)
            self._serve(held)
        if held.index.bloated():
            return self._rebuild(held.scopes)
        return self.pace.later(_BATCH_EVERY) if relevant else _IDLE

    def _read_along(self, held: Held) -> float:
        """For a process that searches what another writes: the rest goes into the tails."""
        if not self._home.is_current(held.index):
            return self._change_sides(writing=False)
        state = held.index.reload()
        held.seq, held.scopes = state.seq, set(state.scopes)
        if self.serving is None or self.serving.scopes != held.scopes:
            self._forget_wanted(held.scopes)
            self._tails.follow(held.scopes)
            self._fill_tails(held.seq)
            self._serve(held)
        self._tails.trim(held.seq)
        return _IDLE

    def _forget_wanted(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            self._wanted.pop(scope, None)

    def _fill_tails(self, seq: int) -> None:
        while changes := self._record.changes(seq, _LINES):
            self._tails.apply(changes)
            seq = changes[-1].seq

    def _serve(self, held: Held) -> None:
        self.serving = held.serving()
        self.settled.set()
        self._dropped(held.scopes)

    # -- building ---------------------------------------------------------------------------

    def _promote(self, held: Held, scopes: list[str]) -> float:
        self._tails.follow(scopes)
        self._job = Building(self._record, held.index, scopes, held.seq, fresh=False)
        return 0.0

    def _rebuild(self, scopes: Iterable[str]) -> float:
        scopes, limit = list(scopes), self._limit()
        large = [scope for scope in scopes if self._record.count(scope) > limit]
        self._forget_wanted(set(scopes) - set(large))
        if not large:
            return self._discard()
        index = self._home.create()
        self._tails.follow(large)
        # In this order: what is committed after this seq is in the tails, what is before is read.
        seq = self._record.figures().seq
        self._job = Building(self._record, index, large, seq, fresh=True)
        return 0.0

    def _build(self, job: Building) -> float:
        if not job.write(self.pace.batch):
            self._finish(job)
        return 0.0

    def _finish(self, job: Building) -> None:
        old = self._held
        others = set() if job.fresh or old is None else old.scopes
        held = self._held = Held(job.index, others | set(job.scopes), job.seq)
        self._job = None
        held.save(self._record, now=True)
        if job.fresh:
            self._home.publish(job.index)
        self._tails.keep(held.scopes)
        self._forget_wanted(job.scopes)
        expect(job.index, job.sample)
        self._serve(held)
        if job.fresh and old is not None:
            self._home.retire(old.index)

    def _abandon_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._wanted.update(dict.fromkeys(job.scopes))
            if job.fresh:
                self._home.retire(job.index)

    # -- letting go -------------------------------------------------------------------------

    def _discard(self) -> float:
        """No scope is large any more: do without an index."""
        held, self._held, self.serving = self._held, None, None
        self._tails.keep(())
        if held is not None:
            self._home.retire(held.index)
        return math.inf

    def _failed(self, error: IndexFailed) -> float:
        """Scan until the index was tested, and built anew if it does not stand the test."""
        _log.warning("the index cannot be used for now: %s", error)
        self.error = str(error)
        self._let_go(clean=False, useless=isinstance(error, Useless))
        return self.pace.failed(_RETRY)

    def _let_go(self, clean: bool, useless: bool = False) -> None:
        held, self._held, self.serving, self._broken = self._held, None, None, False
        with contextlib.suppress(StoreError):
            self._abandon_job()
        if held is not None:
            self._wanted.update(dict.fromkeys(held.scopes))
            with contextlib.suppress(StoreError):
                if useless:
                    self._home.retire(held.index)
                else:
                    self._home.release(held.index, clean)
        self._tails.keep(())
        self.settled.set()

    def close(self) -> None:
        """Note how far the index is, and let go of it."""
        self._closed = True
        if not self._stepping.acquire(timeout=_CLOSING):
            _log.warning("the index is left as it is: it has not answered for %s s", _CLOSING)
            return
        try:
            if self._held is not None and self.writing:
                with contextlib.suppress(StoreError):
                    self._held.save(self._record, now=True)
            self._let_go(clean=True)
            self._home.close()
        finally:
            self._stepping.release()

    def after_fork(self) -> None:
        """In the child: nothing of the parent's is used, and nothing of it is closed."""
        self._home.after_fork((self._held, self._job))
        self._tails.reset()
        self._begin_anew()
        self.settled.set()
