"""Whether a SQLite file is still the one that was opened.

A file that is removed while it is open takes writes as before, and nobody ever reads them.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL

from semcache_core.entries.engines import in_memory
from semcache_core.errors import StoreError

Identity = tuple[int, int] | None


class Watched:
    """The file of a URL; of anything but a SQLite file nothing is watched."""

    def __init__(self, url: URL) -> None:
        plain = url.get_backend_name() == "sqlite" and not in_memory(url) and not url.query
        self._path = Path(url.database) if plain and url.database else None
        self._opened: Identity = None

    def note(self) -> None:
        """The file that is there now is the one that was opened."""
        self._opened = self._identity()

    def lost(self) -> bool:
        """Whether it is gone, or another one is in its place. A few microseconds."""
        return self._opened is not None and self._identity() != self._opened

    def make_folder(self) -> None:
        """Make the folder it was in. Raises `StoreError`."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {self._path.parent} cannot be made: {error}") from error

    def _identity(self) -> Identity:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)  # noqa: PTH116  # on each write: a third of Path.stat's time
        except OSError:
            return None
        return found.st_dev, found.st_ino
