"""Unit vectors in 16 bits a number: half of the memory, and a cosine within 1e-4 of the exact one.

Whole numbers and not 16-bit floats: what numpy makes of those again takes twenty times as long, and
components of unit vectors need no exponent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semcache_core.models import Matrix, Vector

_ONE = 32_767

Packed = NDArray[np.int16]
Rows = Matrix | Packed


def packed(rows: Matrix) -> Packed:
    """The same rows in 16 bits a number."""
    made: Packed = np.rint(np.clip(rows, -1.0, 1.0) * _ONE).astype(np.int16)
    return made


def plain(rows: Rows) -> Matrix:
    """As floats, whichever they are; floats are not copied."""
    made: Matrix = rows.astype(np.float32, copy=False)
    return made / np.float32(_ONE) if rows.dtype == np.int16 else made


def cosines(rows: Rows, vector: Vector) -> Vector:
    """Of each row and the vector.

    Not `rows @ vector`: BLAS spreads it over threads, which wait for one another on a busy machine
    (0.3 to 20 ms for 10,000 rows, against a steady 0.6 to 0.9).
    """
    if rows.dtype == np.int16:
        vector = vector / np.float32(_ONE)
    found: Vector = np.einsum("ij,j->i", rows.astype(np.float32, copy=False), vector)
    return found
