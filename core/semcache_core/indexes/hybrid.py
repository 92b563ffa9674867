"""Small scopes are scanned, large ones go through Chroma; a scope that grows moves over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

from semcache_core.indexes.held import Serving
from semcache_core.indexes.homes import Home
from semcache_core.indexes.keeper import Keeper
from semcache_core.indexes.large import IndexFailed
from semcache_core.indexes.scan import DEFAULT_BUDGET, ScanIndex, loading
from semcache_core.indexes.tails import Tails
from semcache_core.models import Change, IndexStatus, Neighbour, Vector
from semcache_core.protocols import EntryStore

SCAN_LIMIT = 200_000
"""Entries of a scope up to which a scan is faster than Chroma, and is never caught by a crowd."""
SHARED_LIMIT = 10_000
"""The same where several processes search one index, and each would hold the vectors itself."""
_CROWDED = 0.5
"""Share of the budget from which on only scopes of up to `SHARED_LIMIT` are scanned."""
_OPENING = 15.0
"""Seconds a search of a large scope waits for an index that is being opened. Reading the whole
scope into memory instead would take about as long."""


class HybridIndex:
    """A `VectorIndex` with work behind the requests (`Maintained`).

    A scope of more than `scan_limit` entries is written to the index at `home`, and scanned until
    that is done; so is, once they fill half of `budget`, one of more than `SHARED_LIMIT`. chromadb
    is not even imported before. `budget` bounds the bytes of scanned scopes in memory.
    """

    floored = True

    def __init__(
        self,
        record: EntryStore,
        home: Home,
        *,
        scan_limit: int = SCAN_LIMIT,
        budget: int = DEFAULT_BUDGET,
    ) -> None:
        self._record, self._scan_limit, self._budget = record, scan_limit, budget
        self._scan = ScanIndex(loading(record), budget=budget)
        self._tails = Tails()
        self._keeper = Keeper(record, home, self._tails, self._limit, self._drop)

    def apply(self, changes: Sequence[Change]) -> None:
        self._scan.apply(changes)
        self._tails.apply(changes)
        for scope in {change.scope for change in changes}:
            self._watch(scope)
        if self._keeper.active:
            self._keeper.wake()

    def nearest(self, scope: str, vector: Vector, k: int, floor: float = -1.0) -> list[Neighbour]:
        self._keeper.pace.searched = time.monotonic()
        self._await_opening(scope)
        while (serving := self._keeper.serving) is not None and scope in serving.scopes:
            try:
                return self._large(serving, scope, vector, k)
            except IndexFailed as error:
                self._keeper.report(serving, error)
        found = self._scan.nearest(scope, vector, k, floor)
        self._watch(scope)
        return found

    def clear(self) -> None:
        self._scan.clear()
        self._keeper.restart()

    def close(self) -> None:
        self._keeper.close()
        self._scan.close()

    def attach(self, wake: Callable[[], None]) -> None:
        self._keeper.wake = wake
        if not self._keeper.settled.is_set():
            wake()

    def maintain(self) -> float:
        return self._keeper.step()

    def flush(self) -> None:
        """Return when the index is complete; at once where another process writes it.

        Raises `IndexFailed` when it cannot be completed.
        """
        while self._keeper.pending():
            pause = self._keeper.step(hurry=True)
            if self._keeper.error:
                raise IndexFailed(self._keeper.error)
            if math.isinf(pause) or not self._keeper.writing:
                return
            time.sleep(min(pause, 0.05))

    def status(self) -> IndexStatus:
        keeper = self._keeper
        return IndexStatus(
            seq=keeper.seq,
            pending=len(self._tails),
            state=keeper.state,
            owner=keeper.writing,
        )

    def before_fork(self) -> None:
        """Nothing to bring to rest: the child takes over none of it."""

    def after_fork(self, child: bool) -> None:
        self._scan.after_fork(child)
        if child:
            self._keeper.after_fork()

    def _large(self, serving: Serving, scope: str, vector: Vector, k: int) -> list[Neighbour]:
        newer = {near.key: near for near in self._tails.nearest(scope, vector, k)}
        older = {near.key: near for near in serving.index.nearest(scope, vector, k)}
        if len(older) < k:
            # Others' vectors stand in front, which happens by itself to none of a large scope: a
            # graph search cannot leave a crowd of near duplicates, such as a tenant could store to
            # have another's answers missed. A scan is exact.
            return self._scan.nearest(scope, vector, k)
        return sorted((older | newer).values(), key=lambda near: -near.similarity)[:k]

    def _watch(self, scope: str) -> None:
        if self._scan.size(scope) > self._limit():
            self._keeper.want(scope)

    def _limit(self) -> int:
        """Entries of a scope up to which it is scanned, as things are."""
        if self._scan.nbytes < _CROWDED * self._budget:
            return self._scan_limit
        return min(self._scan_limit, SHARED_LIMIT)

    def _await_opening(self, scope: str) -> None:
        settled = self._keeper.settled
        if not settled.is_set() and self._record.count(scope) > self._limit():
            settled.wait(_OPENING)

    def _drop(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            self._scan.drop(scope)
