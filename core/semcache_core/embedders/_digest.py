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
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return json.dumps(
            [[name, _hash_tensor(kind, part)] for name, kind, part in _tensors(path, data)]
        )


def _hash_tensor(kind: str, part: memoryview) -> str:
    found = hashlib.sha256(kind.encode())
    found.update(part)
    part.release()  # a map with views left on it cannot be closed
    return found.hexdigest()


def _tensors(path: Path, data: mmap.mmap) -> Iterator[tuple[str, str, memoryview]]:
    """Name, type with shape, bytes. Format: huggingface.co/docs/safetensors, "Format"."""
    start, header = _header(path, data)
    for name, about in header.items():
        # Positions are computed, not learnt; newer transformers no longer save them.
        if name == "__metadata__" or name.endswith("position_ids"):
            continue
        begin, end = about["data_offsets"]
        kind = f"{about['dtype']}{about['shape']}"
        yield name, kind, memoryview(data)[start + begin : start + end]


def _header(path: Path, data: mmap.mmap) -> tuple[int, dict[str, Any]]:
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + min(length, _MAX_HEADER)])
        if not isinstance(header, dict):
            raise ValueError("its header is not an object")
    except (struct.error, ValueError) as error:
        raise ConfigError(f"{path} is damaged: not a safetensors file ({error})") from error
    return 8 + length, header


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
