r"""The form in which an answer is stored: one header line, then the codec's bytes.

    semcache 1 <codec> <first 16 hex digits of the data's SHA-256>\\n<data>

A header in front, and not JSON around the data, so that opening copies nothing twice and the
answer stays legible in any SQL tool. Whatever cannot be opened raises `PayloadError`, which a
lookup counts as a miss.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from semcache_core.errors import PayloadError
from semcache_core.keys import sha256

MAGIC = "semcache"
VERSION = 1
_SMALL = 65_536  # bytes; larger payloads are not worth holding twice


class Opened(NamedTuple):
    """An envelope's content."""

    codec: str
    data: bytes


def seal(codec: str, data: bytes) -> bytes:
    """Put the codec's bytes into an envelope of the current version."""
    return f"{MAGIC} {VERSION} {codec} {sha256(data)[:16]}\n".encode() + data


def unseal(payload: bytes) -> Opened:
    """Open and check an envelope; raises `PayloadError`."""
    return _unseal_cached(payload) if len(payload) <= _SMALL else _unseal(payload)


def _unseal(payload: bytes) -> Opened:
    head, newline, data = payload.partition(b"\n")
    magic, version, codec, checksum = _fields(head)
    if not newline or magic != MAGIC:
        raise PayloadError("the entry is not in a semcache envelope")
    if version != str(VERSION):
        raise PayloadError(
            f"the entry has envelope version {version!r} and this semcache reads {VERSION}; "
            "it was written by another release"
        )
    if checksum != sha256(data)[:16]:
        raise PayloadError("the entry's checksum does not match: it was damaged")
    return Opened(codec, data)


def _fields(head: bytes) -> tuple[str, str, str, str]:
    try:
        magic, version, codec, checksum = head.decode("ascii").split(" ")
    except ValueError as error:  # UnicodeDecodeError is one
        raise PayloadError("the entry is not in a semcache envelope") from error
    return magic, version, codec, checksum


# Keyed by the bytes themselves: an entry in the hot tier is the same object at every hit, so its
# hash is computed once and the comparison ends at identity.
_unseal_cached = lru_cache(maxsize=1024)(_unseal)
