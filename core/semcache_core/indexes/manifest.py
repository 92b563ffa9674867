"""Whether the graphs of an index are as they were when nothing was being written to them.

Chroma crashes its process, and no exception is raised, when it meets a graph that was damaged or
half written (chroma-core/chroma#7238): at opening or at some search later, so that a trial of a few
searches says little. It rewrites the files in place, now and then, and does not say when. So an
index is used only if its files are what they were at a moment of rest: by their sums after a clean
close (0.2 s for 100,000 vectors), by size and time of writing after a kill. Else it is built anew.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CLOSED, _RESTED = "closed", "rested"
_CHUNK = 1 << 22
_LULL = 2.0
"""Seconds without a write after which none is going on."""


def in_use(folder: Path) -> Path:
    """The file that marks a folder whose client was not closed cleanly, or not yet."""
    return folder / "in-use"


def close_cleanly(folder: Path) -> None:
    """Note what the files are now, and that nobody uses them. Raises `OSError`."""
    (folder / _CLOSED).write_text(json.dumps(_sums(folder)))
    in_use(folder).unlink(missing_ok=True)


def is_as_closed(folder: Path) -> bool:
    """Whether they are still what was noted when the index was closed."""
    return bool(_noted(folder / _CLOSED) == _sums(folder))


def is_as_rested(folder: Path) -> bool:
    """Whether nothing was written since the last rest of an index that was not closed."""
    return bool(_noted(folder / _RESTED) == _stamps(folder))


@dataclass(slots=True)
class Rests:
    """Looks at the files of an index that is in use, and notes when they are at rest."""

    folder: Path
    _seen: Any = None
    _since: float = 0.0
    _told: bool = False

    def look(self) -> None:
        """To be called every few seconds; a few microseconds. Raises `OSError`."""
        seen = _stamps(self.folder)
        if seen != self._seen:
            self._seen, self._since, self._told = seen, time.monotonic(), False
        elif not self._told and time.monotonic() - self._since >= _LULL:
            (self.folder / _RESTED).write_text(json.dumps(seen))
            self._told = True


def _files(folder: Path) -> Iterator[Path]:
    # The graphs lie in folders of their own. The database beside them is brought to rest some
    # moments after closing, and damage to it is an exception.
    return (file for file in sorted(folder.glob("*/*")) if file.is_file())


def _stamps(folder: Path) -> dict[str, list[int]]:
    found = ((file, file.stat()) for file in _files(folder))
    return {str(file.relative_to(folder)): [one.st_size, one.st_mtime_ns] for file, one in found}


def _sums(folder: Path) -> dict[str, int]:
    return {str(file.relative_to(folder)): _sum(file) for file in _files(folder)}


def _sum(file: Path) -> int:
    total = 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            total = zlib.crc32(chunk, total)
    return total


def _noted(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
