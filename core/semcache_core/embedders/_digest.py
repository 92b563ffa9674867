"""SHA-256 of files and of weights, remembered for big files that did not change."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from semcache_core.embedders._home import home, write_atomically
from semcache_core.errors import ConfigError

_CHUNK = 1 << 20
_SETTLED = 2.0
"""Seconds: a file younger than this may change again within one tick of its clock."""
_MAX_HEADER = 100_000_000
"""Bytes: the limit of the safetensors format itself."""


def digest_json(value: Any) -> str:
    """SHA-256 in hex of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 in hex of a file's bytes."""
    return remembered("file", path, _hash_file)


def digest_weights(paths: Iterable[Path]) -> str:
    """SHA-256 in hex of named weights, the same for the same weights saved again.

    A safetensors file that is loaded and saved again differs in its bytes (the order of the
    tensors, buffers that newer versions leave out), so its tensors are hashed and not the file.
    """
    tensors: list[list[str]] = []
    for path in paths:
        safe = path.suffix == ".safetensors"
        tensors += (
            json.loads(remembered("tensors", path, _hash_tensors))
            if safe
            else [[path.name, digest_file(path)]]
        )
    return digest_json(sorted(tensors))


def _hash_file(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _hash_tensors(path: Path) -> str:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = [[name, _hash_tensor(kind, part)] for name, kind, part in _tensors(data)]
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: not a safetensors file ({error})") from error
    return json.dumps(found)


def _hash_tensor(kind: str, part: memoryview) -> str:
    found = hashlib.sha256(kind.encode())
    found.update(part)
    part.release()  # a map with views left on it cannot be closed
    return found.hexdigest()


def _tensors(data: mmap.mmap) -> Iterator[tuple[str, str, memoryview]]:
    """Name, type with shape, bytes. Format: huggingface.co/docs/safetensors, "Format"."""
    (length,) = struct.unpack("<Q", data[:8])
    start = 8 + length
    if start > len(data):
        raise ValueError("it ends too early")
    header = dict(json.loads(data[8 : min(start, _MAX_HEADER)]))
    # Positions are computed, not learnt; newer transformers no longer save them.
    learnt = (n for n in header if n != "__metadata__" and not n.endswith("position_ids"))
    for name in learnt:
        begin, end = header[name]["data_offsets"]
        if start + end > len(data):
            raise ValueError("it ends too early")
        kind = f"{header[name]['dtype']}{header[name]['shape']}"
        yield name, kind, memoryview(data)[start + begin : start + end]


def remembered(kind: str, path: Path, compute: Callable[[Path], str]) -> str:
    """The result for this path, size and time of change, computed once for all processes."""
    real = path.resolve()
    stat = real.stat()
    key = hashlib.sha256(f"{kind}\0{real}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()
    note = home() / "digests" / key
    with suppress(OSError):
        return note.read_text()
    found = compute(real)
    if time.time() - stat.st_mtime > _SETTLED:
        with suppress(OSError):  # no folder to remember in: it is hashed again next time
            write_atomically(note, found.encode())
    return found
