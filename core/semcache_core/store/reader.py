"""Lookups in a store: by key, and by meaning."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.models import Candidate, Entry, Neighbour, Vector
from semcache_core.protocols import Clock, Floored, VectorIndex
from semcache_core.store.follower import Follower
from semcache_core.store.hot import HotTier
from semcache_core.store.vectors import Vectors

_SPARE = 4
"""Neighbours asked for beyond k, as some may have expired or been replaced."""
_ROUNDING = 3e-4
"""How far an index's similarity may be off the exact one that is computed from the row."""
_HIGHEST = 1.01
"""A cosine above this, beyond rounding, comes from a vector that was damaged on the disk."""


class Reader:
    """Finds entries that may be served now. `largest`: bytes of a payload beyond which none is."""

    def __init__(
        self,
        index: VectorIndex,
        follower: Follower,
        hot: HotTier,
        vectors: Vectors,
        *,
        clock: Clock,
        largest: float,
    ) -> None:
        self._index, self._follower, self._hot, self._vectors = index, follower, hot, vectors
        self._floored = index if isinstance(index, Floored) else None
        self._clock, self._largest = clock, largest

    def hot(self, key: str) -> Entry | None:
        """As `Store.hot`."""
        if not self._follower.fresh:
            return None  # others' changes are to be looked for first, which `get` does
        return self._servable(self._hot.get(key))

    def get(self, key: str) -> Entry | None:
        """As `Store.get`."""
        self._follower.look()
        return self._servable(self._hot.get(key) or self._follower.fetch([key]).get(key))

    def nearest(self, scope: str, vector: Vector, k: int, floor: float) -> list[Candidate]:
        """As `Store.nearest`."""
        self._vectors.check("the query", vector)
        self._follower.look()
        self._vectors.compare(vector)
        wanted = k + _SPARE
        while True:
            found = self._found(scope, vector, wanted, floor - _ROUNDING)
            near = [neighbour for neighbour in found if neighbour.similarity >= floor - _ROUNDING]
            candidates = self._current(scope, vector, near, floor)
            if len(candidates) >= k or len(near) < wanted:
                return candidates[:k]
            wanted *= 4  # what expired or was replaced stands in the way of what is behind it

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
        candidates = [
            Candidate(row, similarity)
            for row in self._rows([neighbour.key for neighbour in near]).values()
            if row.vector is not None
            and row.scope == scope
            and self._servable(row) is not None
            and floor <= (similarity := float(row.vector @ vector)) <= _HIGHEST
        ]
        return sorted(candidates, key=lambda candidate: -candidate.similarity)

    def _servable(self, entry: Entry | None) -> Entry | None:
        if entry is None or len(entry.payload) > self._largest:
            return None
        return None if entry.expires is not None and entry.expired(self._clock()) else entry

    def _rows(self, keys: Sequence[str]) -> dict[str, Entry]:
        held = {key: entry for key in keys if (entry := self._hot.get(key))}
        missing = [key for key in keys if key not in held]
        return held | (self._follower.fetch(missing) if missing else {})
