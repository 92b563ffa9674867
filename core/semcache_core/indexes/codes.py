"""Vectors in a byte a component: a scan reads a quarter of the memory, and loses no neighbour.

Memory is what a scan waits for: 10,000 vectors of 384 floats are 15 MB. The bytes say of each row
between which bounds its cosine lies (Cauchy-Schwarz over what rounding changed), and only rows that
may be among the nearest are compared in full. Rejected: 16-bit floats, which numpy multiplies
slowly, and an approximate index, which may miss the best.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semcache_core.models import Matrix, Vector

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # ships no types

log = logging.getLogger(__name__)

_ZERO = 128
_ROW = 127
_COLUMN = 63
"""The query's range: a pair of products then fits in 16 bits, as processors without VNNI need."""
_ROUNDING = 1e-5
"""What adding 32-bit floats in another order may change."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows as bytes, shape (n, dimension), and of each row its unit and what rounding took."""

    rows: Bytes
    units: Floats
    errors: Floats

    @classmethod
    def of(cls, rows: Matrix, capacity: int) -> Codes:
        """Codes of some rows, with room for `capacity`."""
        room = cls(
            np.empty((capacity, rows.shape[1]), np.uint8),
            np.empty(capacity, np.float32),
            np.empty(capacity, np.float32),
        )
        for start in range(0, len(rows), 1_000):
            room.put(start, rows[start : start + 1_000])
        return room

    def grown(self, used: int, capacity: int) -> Codes:
        """The first `used`, with room for `capacity`."""
        room = Codes.of(np.empty((0, self.rows.shape[1]), np.float32), capacity)
        for mine, theirs in zip(self._parts(), room._parts(), strict=True):
            theirs[:used] = mine[:used]
        return room

    def put(self, place: int, rows: Matrix) -> None:
        """Set some rows from `place` on."""
        units = np.maximum(np.abs(rows).max(axis=1), 1e-30) / _ROW
        steps = np.rint(rows / units[:, None])
        there = slice(place, place + len(rows))
        self.rows[there] = steps + _ZERO
        self.units[there] = units
        self.errors[there] = np.linalg.norm(rows - steps * units[:, None], axis=1)

    def move(self, place: int, source: int) -> None:
        """Copy one row over another."""
        for part in self._parts():
            part[place] = part[source]

    def nearest(self, vector: Vector, k: int, used: int) -> NDArray[np.intp] | None:
        """Places of the first `used` among which the k nearest are; None if onnxruntime is absent.

        The vectors are taken to be of unit length.
        """
        session = _session()
        if session is None:
            return None
        columns, units, error = _columns(vector)
        (sums,) = session.run(None, {"rows": self.rows[:used], "columns": columns})
        cosines = (sums @ units) * self.units[:used]
        doubt = self.errors[:used] * (1 + error) + (error + _ROUNDING)
        least = cosines - doubt
        bound = np.partition(least, used - k)[used - k] if k < used else least.min()
        return np.flatnonzero(cosines + doubt >= bound)

    def _parts(self) -> tuple[NDArray[Any], ...]:
        return self.rows, self.units, self.errors


def _columns(vector: Vector) -> tuple[NDArray[np.int8], Floats, float]:
    """A vector as two columns of small bytes, coarse and fine; their units; the length of the rest.

    Two, since the bytes of one would leave more doubt than those of the rows do.
    """
    coarse, unit = _rounded(vector)
    fine, small = _rounded(vector - coarse * unit)
    rest = vector - coarse * unit - fine * small
    columns = np.stack([coarse, fine], axis=1).astype(np.int8)
    return columns, np.array([unit, small], np.float32), float(np.linalg.norm(rest))


def _rounded(vector: Vector) -> tuple[Vector, float]:
    unit = max(float(np.abs(vector).max()), 1e-30) / _COLUMN
    return np.rint(vector / unit), unit


@cache
def _session() -> InferenceSession | None:
    """Products of bytes, which numpy computes one at a time, on one thread and without the GIL."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would call home, see embedders
    try:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        graph = files(__package__).joinpath("dot.onnx").read_bytes()
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, floats do
        log.info("vectors are scanned as floats, onnxruntime does not run: %s", error)
        return None
