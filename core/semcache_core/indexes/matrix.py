"""The vectors of one scope in one growing matrix."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcache_core.errors import ConfigError
from semcache_core.indexes import bits
from semcache_core.indexes.bits import Bits
from semcache_core.indexes.rows import Rows, cosines, packed, plain
from semcache_core.models import Change, Neighbour, Vector, VectorPage

_FIRST = 16
_LOCKED = 1_000
"""Up to so many rows a scan is shorter than the bookkeeping of doing it outside the lock."""
_TRIES = 3
_CODED = 2_000
"""Up to so many rows all are compared in full: reading less would save nothing."""


@dataclass(frozen=True, slots=True)
class _View:
    """What a reader scans without the lock: rows are only ever appended behind `used`."""

    rows: Rows
    bits: Bits | None
    used: int
    moves: int


class ScopeMatrix:
    """Keys, seqs and unit vectors of one scope. Thread-safe; a reader does not hold up a writer.

    Appending is amortised; deleting moves the last row into the gap. A reader scans a view
    without the lock and looks afterwards whether rows were moved meanwhile; then it scans again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[str] = []
        self._place: dict[str, int] = {}
        self._seqs: NDArray[np.int64] = np.zeros(_FIRST, dtype=np.int64)
        self._rows: Rows = np.zeros((0, 0), dtype=np.float32)
        self._bits: Bits | None = None
        self._moves = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Bytes held, with an estimate for the keys and for what an empty one takes."""
        coded = self._bits.words.nbytes if self._bits else 0
        return self._rows.nbytes + coded + 250 * len(self._keys) + 2_000

    def apply(self, change: Change) -> None:
        """Follow one line of the record's log."""
        vector = None if change.entry is None else change.entry.vector
        if vector is None:
            self.delete(change.key, change.seq)
        else:
            self.upsert(change.key, change.seq, vector)

    def upsert(self, key: str, seq: int, vector: Vector) -> None:
        """Add or replace; ignored if what is held is newer. Raises `ConfigError` on a bad shape."""
        with self._lock:
            place = self._place.get(key)
            if place is None:
                self._append(key, seq, vector)
            elif seq > self._seqs[place]:
                self._fitting(vector)
                self._moves += 1
                self._set(place, seq, vector)

    def extend(self, page: VectorPage) -> None:
        """Add or replace many, as `upsert` does."""
        with self._lock:
            new = set(page.keys)
            if len(new) == len(page) and self._place.keys().isdisjoint(new):
                self._append_all(page)
                return
        for key, seq, row in zip(page.keys, page.seqs.tolist(), page.rows, strict=True):
            self.upsert(key, seq, row)

    def settle(self) -> None:
        """Do now what the first search would have to wait for."""
        with self._lock:
            self._view()

    def delete(self, key: str, seq: int) -> None:
        """Drop a key, unless what is held is newer than `seq`."""
        with self._lock:
            place = self._place.get(key)
            if place is None or self._seqs[place] > seq:
                return
            del self._place[key]
            self._moves += 1
            last = len(self._keys) - 1
            if place != last:
                moved = self._keys[place] = self._keys[last]
                self._place[moved] = place
                self._rows[place] = self._rows[last]
                self._seqs[place] = self._seqs[last]
                if self._bits:
                    self._bits.move(place, last)
            self._keys.pop()

    def trim(self, seq: int) -> None:
        """Drop all entries with a seq of at most `seq`."""
        with self._lock:
            used = len(self._keys)
            kept = np.flatnonzero(self._seqs[:used] > seq)
            if len(kept) == used:
                return
            self._moves += 1
            self._keys = [self._keys[place] for place in kept]
            self._place = {key: place for place, key in enumerate(self._keys)}
            self._rows = self._rows[kept]
            self._seqs = self._seqs[kept]
            self._bits = None

    def newest(self, count: int) -> int:
        """The seq above which there are `count` entries."""
        with self._lock:
            seqs = np.sort(self._seqs[: len(self._keys)])
            return int(seqs[-count - 1]) if count < len(seqs) else 0

    def nearest(self, vector: Vector, k: int, floor: float = -1.0) -> list[Neighbour]:
        """At most k, nearest first, with their cosine, of at least `floor` or near it.

        Raises `ConfigError` on a bad shape.
        """
        if self._keys:
            self._fitting(vector)
        for _ in range(_TRIES):
            with self._lock:
                view = self._view()
                if view.used <= _LOCKED:
                    return self._name(_best(view, vector, k, floor))
            best = _best(view, vector, k, floor)
            with self._lock:
                if view.moves == self._moves:
                    return self._name(best)
        with self._lock:
            return self._name(_best(self._view(), vector, k, floor))

    def _view(self) -> _View:
        used = len(self._keys)
        if self._bits is None and used > _CODED and bits.usable:
            self._bits = Bits.of(self._rows[:used], len(self._rows))
            self._pack(used)
        return _View(self._rows, self._bits, used, self._moves)

    def _pack(self, used: int) -> None:
        if self._rows.dtype == np.int16:
            return
        rows = np.empty(self._rows.shape, np.int16)
        rows[:used] = packed(plain(self._rows[:used]))
        self._rows = rows

    def _name(self, best: list[tuple[int, float]]) -> list[Neighbour]:
        return [Neighbour(self._keys[place], similarity) for place, similarity in best]

    def _append_all(self, page: VectorPage) -> None:
        """Bits are left to a search, or to `settle`: those of all rows at once cost least."""
        used, more = len(self._keys), len(page)
        if not more:
            return
        self._make_room(used, page.rows[0], more + page.ahead)
        there = slice(used, used + more)
        if used + more > _CODED and bits.usable:
            self._pack(used)
        self._rows[there] = packed(page.rows) if self._rows.dtype == np.int16 else page.rows
        self._seqs[there] = page.seqs
        if self._bits:
            self._bits.put(used, page.rows)
        self._place.update(zip(page.keys, range(used, used + more), strict=True))
        self._keys.extend(page.keys)

    def _append(self, key: str, seq: int, vector: Vector) -> None:
        used = len(self._keys)
        self._make_room(used, vector)
        self._set(used, seq, vector)
        self._place[key] = used
        self._keys.append(key)

    def _set(self, place: int, seq: int, vector: Vector) -> None:
        self._rows[place] = packed(vector) if self._rows.dtype == np.int16 else vector
        self._seqs[place] = seq
        if self._bits:
            self._bits.put(place, vector[None])

    def _make_room(self, used: int, vector: Vector, more: int = 1) -> None:
        if not used:
            self._rows = np.empty((_FIRST, vector.shape[0]), dtype=np.float32)
            self._bits = None
            self._seqs = np.zeros(_FIRST, dtype=np.int64)
        self._fitting(vector)
        if used + more <= len(self._rows):
            return
        capacity = max(used + (used >> 1), used + more, _FIRST)
        rows = np.empty((capacity, vector.shape[0]), dtype=self._rows.dtype)
        rows[:used] = self._rows[:used]
        self._rows = rows
        self._seqs = np.resize(self._seqs, capacity)
        if self._bits:
            self._bits = self._bits.grown(used, capacity)

    def _fitting(self, vector: Vector) -> None:
        if vector.shape != self._rows.shape[1:]:
            raise ConfigError(
                f"a vector of shape {vector.shape} does not fit among vectors of shape"
                f" {self._rows.shape[1:]}: one store holds the vectors of one embedder"
            )


def _best(view: _View, vector: Vector, k: int, floor: float) -> list[tuple[int, float]]:
    """Places and similarities of the k nearest rows, nearest first; perhaps none below `floor`."""
    if not view.used or k < 1:
        return []
    rows = view.rows[: view.used]
    if view.bits is not None:
        places, similarities = view.bits.nearest(rows, vector, k, floor)
        order = _first(similarities, k)
        return list(zip(places[order].tolist(), similarities[order].tolist(), strict=True))
    similarities = cosines(rows, vector)
    order = _first(similarities, k)
    return list(zip(order.tolist(), similarities[order].tolist(), strict=True))


def _first(similarities: Vector, k: int) -> NDArray[np.intp]:
    """Indices of the k largest, largest first."""
    count = len(similarities)
    some = np.argpartition(similarities, count - k)[count - k :] if k < count else np.arange(count)
    return some[np.argsort(-similarities[some], kind="stable")]
