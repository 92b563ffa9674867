"""What the record has and a slower index has not yet: small, in memory, searched beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from semcache_core.indexes.matrix import ScopeMatrix
from semcache_core.models import Change, Neighbour, Vector

MOST = 50_000


class Tails:
    """One matrix for each scope that the slower index serves, or is about to. Thread-safe.

    Holds at most `most` entries a scope: when the index falls that far behind, the oldest of them
    are found again only when it has caught up. Exact matches do not depend on it.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._tails: dict[str, ScopeMatrix] = {}

    def __len__(self) -> int:
        with self._lock:
            return sum(len(tail) for tail in self._tails.values())

    def follow(self, scopes: Iterable[str]) -> None:
        """Collect changes of these scopes from now on."""
        with self._lock:
            for scope in scopes:
                self._tails.setdefault(scope, ScopeMatrix())

    def apply(self, changes: Sequence[Change]) -> None:
        """Collect what belongs to the scopes that are followed."""
        with self._lock:
            for change in changes:
                tail = self._tails.get(change.scope)
                if tail is None:
                    continue
                tail.apply(change)
                if len(tail) > self._most:
                    tail.trim(tail.newest(self._most // 2))

    def nearest(self, scope: str, vector: Vector, k: int) -> list[Neighbour]:
        """At most k of the scope's, nearest first."""
        with self._lock:
            tail = self._tails.get(scope)
        return [] if tail is None else tail.nearest(vector, k)

    def trim(self, seq: int) -> None:
        """Forget what the index has by now: all up to `seq`."""
        with self._lock:
            tails = list(self._tails.values())
        for tail in tails:
            tail.trim(seq)

    def keep(self, scopes: Iterable[str]) -> None:
        """Follow only these from now on."""
        wanted = set(scopes)
        with self._lock:
            self._tails = {scope: t for scope, t in self._tails.items() if scope in wanted}

    def reset(self) -> None:
        """Forget all, also the lock, which a forked child may find held."""
        self._lock = threading.Lock()
        self._tails = {}
