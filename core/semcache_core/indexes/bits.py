"""Vectors in a bit a component: a scan reads a sixtieth of the memory.

Memory is what a scan waits for: 100,000 vectors of 384 floats are 150 MB. Whether two vectors, seen
from the centre of all, point to the same side of a random plane is true of a share 1 - angle / pi
of the planes (Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002).
So the number of planes that part them bounds their cosine; 192 planes rule out most rows, all of
them most of the rest, and what is left is compared in full. The bound is one of probability: a row
is overlooked if its bits are `_DEVIATIONS` standard deviations off what its angle lets expect.

Rejected: a byte a component, which bounds with certainty and takes ten times as long; a graph,
which a crowd of near duplicates traps, and which writing makes slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from semcache_core.indexes.rows import Rows, cosines, plain
from semcache_core.models import Matrix, Vector

_DEVIATIONS = 4.0
_WORD = 64
_FIRST = 3
"""Words that are counted for all rows: so many of them fit into a byte."""
_FEW = 64
"""Rows that are compared in full without a thought."""
_SOME = 1_000
"""Rows whose other planes are counted sooner than the floor is raised for them."""
_BLOCK = 64
_CHUNK = 4_000
"""Rows turned at once: with fewer, the threads of BLAS wait for one another half of the time."""
_SAMPLE = 4_000
"""Rows that the centre is taken of, from all over."""
_SEED = 0
_ROUNDING = 3e-4
"""What rows in 16 bits a number, and adding floats in another order, may change."""

Words = NDArray[np.uint64]
Places = NDArray[np.intp]
Found = tuple[Places, Vector]
"""Places of rows, and their cosines."""

usable = hasattr(np, "bitwise_count")
"""From numpy 2 on."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits of rows, a column a row, and how the rows lie to the centre."""

    centre: Vector
    words: Words
    """Shape (words, capacity): what differs in one word is counted for all rows at once."""
    spans: Vector
    """Distance of each row to the centre."""
    leans: Vector
    """Product of each row and the centre."""

    @classmethod
    def of(cls, rows: Rows, capacity: int) -> Bits:
        """Bits of some rows, with room for `capacity`."""
        made = cls(
            plain(rows[:: -(-len(rows) // _SAMPLE)]).mean(axis=0),
            np.empty((-(-rows.shape[1] // _WORD), capacity), np.uint64),
            np.empty(capacity, np.float32),
            np.empty(capacity, np.float32),
        )
        for start in range(0, len(rows), _CHUNK):
            made.put(start, plain(rows[start : start + _CHUNK]))
        return made

    def grown(self, used: int, capacity: int) -> Bits:
        """The first `used`, with room for `capacity`."""
        words = np.empty((len(self.words), capacity), np.uint64)
        spans, leans = np.empty((2, capacity), np.float32)
        for made, held in ((words, self.words), (spans, self.spans), (leans, self.leans)):
            made[..., :used] = held[..., :used]
        return Bits(self.centre, words, spans, leans)

    def put(self, place: int, rows: Matrix) -> None:
        """Set some rows from `place` on."""
        there = slice(place, place + len(rows))
        self.words[:, there], self.spans[there] = _seen(rows - self.centre)
        self.leans[there] = cosines(rows, self.centre)

    def move(self, place: int, source: int) -> None:
        """Copy one row over another."""
        self.words[:, place] = self.words[:, source]
        self.spans[place] = self.spans[source]
        self.leans[place] = self.leans[source]

    def nearest(self, rows: Rows, vector: Vector, k: int, floor: float) -> Found:
        """The k nearest of the first rows that reach the floor, and perhaps more, in any order."""
        asked = _Asked.of(self, vector)
        parted = asked.parted(self.words[:_FIRST, : len(rows)])
        within = parted <= asked.reach(floor)
        if np.count_nonzero(within) > _SOME:
            floor = max(floor, _kth(rows, vector, _likely(parted, _FEW + k), k))
            within = parted <= asked.reach(floor - _ROUNDING)
        places = np.flatnonzero(within)
        if len(places) > _FEW + k:
            highest = asked.highest(self, places, parted[places])
            first = places[_top(highest, _FEW + k)]
            floor = max(floor, _kth(rows, vector, first, k))
            places = places[highest >= floor - _ROUNDING]
        return _compared(rows, vector, places)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question as the bits see it."""

    words: Words
    span: float
    lean: float
    """What is added to a row's own lean."""
    best: Vector
    """By the number of the first planes that part it from a row: the highest cosine.

    For the distance to the centre that favours it most: a row of unit length that is `s` away leans
    (1 + c^2 - s^2) / 2 towards a centre of length c, so its cosine is at most a s - s^2 / 2 and a
    constant.
    """

    @classmethod
    def of(cls, bits: Bits, vector: Vector) -> _Asked:
        words, spans = _seen((vector - bits.centre)[None])
        span, squared = float(spans[0]), float(bits.centre @ bits.centre)
        lean = float(vector @ bits.centre) - squared
        across = _cosines(_WORD * min(_FIRST, len(words))) * span
        best = np.maximum(across, 0.0) ** 2 / 2 + (1 + squared) / 2 + lean
        return cls(words[:, 0], span, lean, best)

    def parted(self, words: Words) -> NDArray[np.uint8]:
        """How many of the planes part the question from each row."""
        total: NDArray[np.uint8] = np.bitwise_count(words[0] ^ self.words[0])
        for row, word in zip(words[1:], self.words[1:], strict=False):
            total += np.bitwise_count(row ^ word)
        return total

    def reach(self, floor: float) -> int:
        """By how many of the first planes a row may be parted and still reach the floor."""
        return int(np.count_nonzero(self.best >= floor - _UNEVEN)) - 1

    def highest(self, bits: Bits, places: Places, first: NDArray[np.uint8]) -> Vector:
        """The highest cosines that rows may have, of which `first` counted the first planes."""
        parted = first.astype(np.uint16)
        for row, word in zip(bits.words[_FIRST:], self.words[_FIRST:], strict=True):
            parted += np.bitwise_count(row.take(places) ^ word)
        across = _cosines(_WORD * len(self.words)).take(parted) * bits.spans[places]
        highest: Vector = across * np.float32(self.span) + (
            bits.leans[places] + np.float32(self.lean)
        )
        return highest


_UNEVEN = 0.01
"""How far the square of a length may be off 1."""


def _seen(rows: Matrix) -> tuple[Words, Vector]:
    """The bits of rows, a column a row, and their lengths."""
    bits = np.packbits(_turned(rows) > 0, axis=1)
    return bits.view(np.uint64).T, np.sqrt(np.einsum("ij,ij->i", rows, rows))


def _turned(rows: Matrix) -> Matrix:
    planes = _planes(rows.shape[1])
    if len(rows) > 1:
        turned: Matrix = rows @ planes.T
        return turned
    # BLAS would spread it over threads, which wait for one another on a busy machine.
    one: Matrix = np.einsum("ij,j->i", planes, rows[0])[None]
    return one


@cache
def _planes(dimension: int) -> Matrix:
    """Random directions, a row each, at right angles to one another but for the last."""
    size = -(-dimension // _WORD) * _WORD
    planes = np.random.default_rng(_SEED).standard_normal((size, size))
    # Gram and Schmidt, since LAPACK's threads take a second on a busy machine, and this 0.05.
    for at in range(size):
        before, row = planes[:at], planes[at]
        rest = row - np.einsum("j,jk->k", np.einsum("jk,k->j", before, row), before)
        planes[at] = rest / np.sqrt(np.einsum("k,k", rest, rest))
    return np.ascontiguousarray(planes[:, :dimension], dtype=np.float32)


@cache
def _cosines(planes: int) -> Vector:
    """By the number of planes that part two vectors: the highest cosine they may have."""
    share = np.arange(planes + 1) / planes
    doubt = _DEVIATIONS * np.sqrt(share * (1 - share) / planes + 1 / planes**2)
    made: Vector = np.cos(np.pi * np.clip(share - doubt, 0, 1)).astype(np.float32)
    return made


def _likely(parted: NDArray[np.uint8], count: int) -> Places:
    """Places of `count` rows that few planes part from the question: the fewest, or nearly."""
    blocks = len(parted) // _BLOCK
    if blocks <= count:
        return np.argpartition(parted, count)[:count]
    fewest = parted[: blocks * _BLOCK].reshape(_BLOCK, blocks).min(axis=0)
    return np.flatnonzero(parted <= np.partition(fewest, count)[count])[:count]


def _top(values: Vector, count: int) -> Places:
    """Places of the highest values, or all if there are no more."""
    if count >= len(values):
        return np.arange(len(values))
    return np.argpartition(values, len(values) - count)[len(values) - count :]


def _kth(rows: Rows, vector: Vector, places: Places, k: int) -> float:
    """The k-th highest cosine of some rows."""
    near = _compared(rows, vector, places)[1]
    return float(np.partition(near, len(near) - k)[len(near) - k])


def _compared(rows: Rows, vector: Vector, places: Places) -> Found:
    if len(places) * 2 > len(rows):
        places = np.arange(len(rows))
        return places, cosines(rows, vector)
    return places, cosines(rows[places], vector)
