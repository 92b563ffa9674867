"""Indexes in a folder of this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
import time
import uuid
import weakref
from pathlib import Path
from typing import Any

from semcache_core.errors import StoreError
from semcache_core.indexes.chroma import ChromaFailed, ChromaIndex, translated
from semcache_core.indexes.clients import Embedded, persistent_client
from semcache_core.indexes.homes import abandoned, collection_name
from semcache_core.indexes.large import LargeIndex
from semcache_core.indexes.manifest import (
    Rests,
    close_cleanly,
    in_use,
    is_as_closed,
    is_as_rested,
)
from semcache_core.indexes.probe import probed

_log = logging.getLogger(__name__)


class LocalHome:
    """A folder of this machine; the embedded Chroma allows one process at a time in it."""

    open_to_readers = False

    def __init__(self, folder: Path, embedder: str) -> None:
        self._folder, self._embedder = folder, embedder
        self._lock: Any = None
        self._clients: dict[LargeIndex, tuple[Any, Path]] = {}
        self._rests: dict[LargeIndex, Rests] = {}

    def exists(self) -> bool:
        return bool(self._generations())

    def acquire(self) -> bool:
        if not Embedded.usable:
            return False
        from filelock import FileLock, Timeout

        if self._lock is None:
            self._lock = FileLock(self._folder / "owner.lock", thread_local=False)
        if self._lock.is_locked:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            _log.info("the index is not used, as its folder cannot be written: %s", error)
            return False
        return True

    def open(self) -> ChromaIndex | None:
        found = None
        for folder in reversed(self._generations()):
            if found is None and (found := self._whole(folder)):
                continue
            _log.warning("the index in %s is not usable, or superseded: it is removed", folder)
            shutil.rmtree(folder, ignore_errors=True)
        return found

    def create(self) -> ChromaIndex:
        # Never a name that was there before: Chroma may still hold on to that.
        last = max((int(folder.name) for folder in self._generations()), default=0)
        folder = self._folder / f"{max(time.time_ns() // 1000, last + 1):018}"
        with translated("make the folder of"):
            folder.mkdir(parents=True)
        return self._index(folder)

    def publish(self, index: LargeIndex) -> None:
        """Nothing to do: the newest whole generation is the one that counts."""

    def is_current(self, index: LargeIndex) -> bool:
        return True

    def looked_after(self, index: LargeIndex) -> None:
        with contextlib.suppress(OSError):
            self._rests[index].look()

    def retire(self, index: LargeIndex) -> None:
        _, folder = self._clients[index]
        self.release(index, clean=True)
        shutil.rmtree(folder, ignore_errors=True)

    def release(self, index: LargeIndex, clean: bool) -> None:
        client, folder = self._clients.pop(index)
        self._rests.pop(index, None)
        with contextlib.suppress(StoreError), translated("close"):
            client.close()
            if clean:
                close_cleanly(folder)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def after_fork(self, inherited: object) -> None:
        abandoned.extend([self._clients, self._lock, inherited])
        self._clients, self._rests, self._lock = {}, {}, None

    def _generations(self) -> list[Path]:
        """Folders of indexes, oldest first; nothing else in there is ever touched."""
        if not self._folder.is_dir():
            return []
        return sorted(
            folder
            for folder in self._folder.iterdir()
            if re.fullmatch(r"\d{18}", folder.name) and folder.is_dir()
        )

    def _whole(self, folder: Path) -> ChromaIndex | None:
        if not self._stands_a_test(folder):
            return None
        try:
            index = self._index(folder)
        except ChromaFailed as error:
            _log.warning("the index in %s cannot be opened: %s", folder, error)
            return None
        if index.state.seq == 0:  # its building was interrupted
            self.release(index, clean=False)
            return None
        return index

    def _stands_a_test(self, folder: Path) -> bool:
        """Whether Chroma can open it: a damaged one may crash this process."""
        unclosed = in_use(folder).exists()
        if not (is_as_rested(folder) if unclosed else is_as_closed(folder)):
            why = "may be half written" if unclosed else "were changed while nobody used it"
            _log.warning("the files of the index in %s %s", folder, why)
            return False
        return not unclosed or probed(folder, collection_name(self._embedder))

    def _index(self, folder: Path) -> ChromaIndex:
        client = persistent_client(folder)
        try:
            index = ChromaIndex(client, collection_name(self._embedder), self._embedder)
        except ChromaFailed:
            client.close()
            raise
        self._clients[index] = client, folder
        self._rests[index] = Rests(folder)
        return index


class TemporaryHome(LocalHome):
    """A private folder that is gone with the store: for records that are in memory themselves."""

    def __init__(self, embedder: str) -> None:
        super().__init__(_temporary_folder(), embedder)
        self._finish = weakref.finalize(self, _remove, self._folder, os.getpid())

    def acquire(self) -> bool:
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
        return super().acquire()

    def close(self) -> None:
        super().close()
        self._finish()

    def after_fork(self, inherited: object) -> None:
        super().after_fork(inherited)
        self._finish.detach()
        self._folder = _temporary_folder()
        self._finish = weakref.finalize(self, _remove, self._folder, os.getpid())


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"semcache-{uuid.uuid4().hex}"


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child runs the parent's finalizers as well
        shutil.rmtree(folder, ignore_errors=True)
