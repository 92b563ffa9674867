"""How often keys were asked for lately: a sketch of a fixed size that also knows what is gone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import zlib

_DEPTH = 4
_PER_ENTRY = 4
"""Counters of each row for one entry of the cache: TinyLFU's own sizing."""
_MOST = 15
"""Beyond this no count grows: what is asked for fifteen times a period stays anyway."""
_PERIOD = 10
"""All counts are halved after this many times the capacity in requests (TinyLFU, section 3.3)."""
_HALVED = bytes(value >> 1 for value in range(256))


class Sketch:
    """A count-min sketch with conservative update that forgets: the frequencies of TinyLFU.

    `capacity` is the number of entries the cache holds; it takes 16 bytes for each. Thread-safe.
    Source: Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM
    Transactions on Storage 13(4), 2017.
    """

    def __init__(self, capacity: int) -> None:
        self._width = 1 << max(capacity * _PER_ENTRY - 1, 63).bit_length()
        self._period = capacity * _PERIOD
        self._rows = [bytearray(self._width) for _ in range(_DEPTH)]
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        """Count one request."""
        places = self._places(key)
        with self._lock:
            counts = [row[place] for row, place in zip(self._rows, places, strict=True)]
            least = min(counts)
            if least < _MOST:
                for row, place, count in zip(self._rows, places, counts, strict=True):
                    if count == least:
                        row[place] = least + 1
            self._seen += 1
            if self._seen >= self._period:
                self._age()

    def count(self, key: str) -> int:
        """An upper bound of the requests of late, at most 15; too high now and then."""
        rows = zip(self._rows, self._places(key), strict=True)
        return min(row[place] for row, place in rows)

    def dump(self) -> str:
        """All counts as text."""
        with self._lock:
            return base64.b85encode(zlib.compress(b"".join(self._rows), 1)).decode()

    def load(self, text: str) -> bool:
        """Take over counts of a sketch of the same size; False, and nothing done, for others."""
        size = self._width * _DEPTH
        try:
            unpacking = zlib.decompressobj()
            counts = unpacking.decompress(base64.b85decode(text), size + 1)
        except (ValueError, binascii.Error, zlib.error):
            return False
        if not unpacking.eof or len(counts) != size or max(counts) > _MOST:
            return False
        with self._lock:
            starts = range(0, size, self._width)
            self._rows = [bytearray(counts[start : start + self._width]) for start in starts]
        return True

    def reset(self) -> None:
        """For a forked child, whose parent may have held the lock."""
        self._lock = threading.Lock()

    def _age(self) -> None:
        self._rows = [row.translate(_HALVED) for row in self._rows]
        self._seen //= 2

    def _places(self, key: str) -> tuple[int, ...]:
        number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest(), "little")
        return tuple((number >> (32 * row)) & (self._width - 1) for row in range(_DEPTH))
