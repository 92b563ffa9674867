r"""The form in which an answer is stored: one header line, then the codec's bytes.

    semcache 1 <codec> <first 16 hex digits of the data's SHA-256>\\n<data>

A header in front, and not JSON around the data, so that opening copies nothing twice and the
answer stays legible in any SQL tool. Whatever cannot be opened raises `PayloadError`, which a
lookup counts as a miss.
"""

from __future__ import annotations

from typing import NamedTuple

from semcache_core.errors import PayloadError
from semcache_core.keys import sha256

MAGIC = "semcache"
VERSION = 1
_MAGIC, _VERSION = MAGIC.encode(), str(VERSION).encode()


class Opened(NamedTuple):
    """An envelope's content."""

    codec: str
    data: bytes


def seal(codec: str, data: bytes) -> bytes:
    """Put the codec's bytes into an envelope of the current version."""
    return f"{MAGIC} {VERSION} {codec} {sha256(data)[:16]}\n".encode() + data


def unseal(payload: bytes) -> Opened:
    """Open and check an envelope; raises `PayloadError`."""
    head, newline, data = payload.partition(b"\n")
    fields = head.split(b" ")
    if not newline or len(fields) != 4 or fields[0] != _MAGIC:
        raise PayloadError("the entry is not in a semcache envelope")
    _, version, codec, checksum = fields
    if version != _VERSION:
        raise PayloadError(
            f"the entry has envelope version {_text(version)!r} and this semcache reads {VERSION}; "
            "it was written by another release"
        )
    if checksum.decode("latin-1") != sha256(data)[:16]:
        raise PayloadError("the entry's checksum does not match: it was damaged")
    return Opened(_text(codec), data)


def _text(field: bytes) -> str:
    try:
        return field.decode("ascii")
    except UnicodeDecodeError as error:
        raise PayloadError("the entry is not in a semcache envelope") from error
