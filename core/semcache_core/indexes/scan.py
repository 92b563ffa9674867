"""A search of all vectors of a scope, in memory. Right for scopes up to some hundred thousand."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from semcache_core.indexes.matrix import ScopeMatrix
from semcache_core.indexes.turnstile import Turnstile
from semcache_core.models import Change, Entry, Neighbour, Vector, VectorPage
from semcache_core.protocols import EntryStore, Paged

Load = Callable[[str], Iterable[VectorPage | Entry]]

DEFAULT_BUDGET = 512 * 1024 * 1024


def loading(record: EntryStore) -> Load:
    """How a record's scopes are read fastest."""
    return record.vectors if isinstance(record, Paged) else record.scope


@dataclass(eq=False, slots=True)
class _Scope:
    """One scope; `missed` collects what was applied while it was being loaded."""

    name: str
    matrix: ScopeMatrix = field(default_factory=ScopeMatrix)
    loading: threading.Lock = field(default_factory=threading.Lock)
    ready: bool = False
    missed: list[Change] = field(default_factory=list)


class ScanIndex:
    """A `VectorIndex` that scans. Thread-safe.

    `load` yields the entries of a scope from the record, or pages of them; a scope is loaded when
    it is first searched, and again after it was dropped. Scopes beyond `budget` bytes are dropped,
    least recently searched first; the one in use is always kept.
    """

    floored = True

    def __init__(self, load: Load, *, budget: int = DEFAULT_BUDGET) -> None:
        self._load = load
        self._budget = budget
        self._lock = threading.RLock()
        self._scopes: OrderedDict[str, _Scope] = OrderedDict()
        self._loading: dict[int, _Scope] = {}
        self._bytes = 0
        self._turns = Turnstile(os.cpu_count() or 1)

    def apply(self, changes: Sequence[Change]) -> None:
        with self._lock:
            for held in self._loading.values():
                held.missed.extend(changes)
            for change in changes:
                self._apply(change)
            self._shrink()

    def nearest(self, scope: str, vector: Vector, k: int, floor: float = -1.0) -> list[Neighbour]:
        matrix = self._held(scope).matrix
        with self._turns:
            return matrix.nearest(vector, k, floor)

    def clear(self) -> None:
        with self._lock:
            self._scopes.clear()
            self._bytes = 0

    def close(self) -> None:
        self.clear()

    def drop(self, scope: str) -> None:
        """Forget one scope; it is loaded again if it is searched again."""
        with self._lock:
            if held := self._scopes.pop(scope, None):
                self._forget(held)

    def size(self, scope: str) -> int:
        """Number of vectors held of a scope."""
        with self._lock:
            held = self._scopes.get(scope)
            return len(held.matrix) if held else 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def before_fork(self) -> None:
        """Nothing to bring to rest: the child loads anew what it needs."""

    def after_fork(self, child: bool) -> None:
        if child:
            self._lock = threading.RLock()
            self._turns = Turnstile(os.cpu_count() or 1)
            self._loading = {}
            self.clear()

    def _held(self, scope: str) -> _Scope:
        with self._lock:
            held = self._scopes.setdefault(scope, _Scope(scope))
            self._scopes.move_to_end(scope)
            if held.ready:
                return held
        with held.loading:
            if not held.ready:
                self._fill(held)
        return held

    def _fill(self, held: _Scope) -> None:
        with self._lock:
            self._loading[id(held)] = held
        try:
            for part in self._load(held.name):
                if isinstance(part, VectorPage):
                    held.matrix.extend(part)
                elif part.vector is not None:
                    held.matrix.upsert(part.key, part.seq, part.vector)
            held.matrix.settle()
            held.ready = True
        finally:
            with self._lock:
                del self._loading[id(held)]
                self._admit(held)

    def _admit(self, held: _Scope) -> None:
        """Let a loaded scope follow changes, after it caught up on those it missed."""
        if not held.ready:
            self._scopes.pop(held.name, None)
            return
        if self._scopes.get(held.name) is not held:
            return  # cleared or dropped meanwhile: good for the search that asked, no longer
        self._bytes += held.matrix.nbytes
        for change in held.missed:
            self._apply(change)
        held.missed.clear()
        self._shrink()

    def _apply(self, change: Change) -> None:
        held = self._scopes.get(change.scope)
        if held is None or not held.ready:
            return
        size = held.matrix.nbytes
        held.matrix.apply(change)
        self._bytes += held.matrix.nbytes - size

    def _shrink(self) -> None:
        while self._bytes > self._budget and len(self._scopes) > 1:
            self._forget(self._scopes.popitem(last=False)[1])

    def _forget(self, held: _Scope) -> None:
        if held.ready:
            self._bytes -= held.matrix.nbytes
