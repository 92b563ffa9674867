"""Where large indexes live, and which process writes them.

A home keeps generations: an index that is built anew stands beside the old one until it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from semcache_core.errors import StoreError, StoreReadOnly
from semcache_core.indexes.chroma import ChromaFailed, ChromaIndex, translated
from semcache_core.indexes.lease import Lease
from semcache_core.indexes.probe import probed
from semcache_core.protocols import EntryStore

_log = logging.getLogger(__name__)

_HTTP_TIMEOUT = 10.0
"""Seconds without an answer after which a server counts as failed."""

_abandoned: list[object] = []
"""What a forked child inherited and must neither use nor close: it is the parent's."""


class _Embedded:
    """Whether this process can use the embedded Chroma at all.

    Its threads belong to the process that used it first. In a child that was forked afterwards
    even a new client, in another folder, waits for them for ever.
    """

    usable = True

    @classmethod
    def after_fork(cls) -> None:
        """In the child."""
        cls.usable = cls.usable and "chromadb_rust_bindings" not in sys.modules


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_Embedded.after_fork)


class Home(Protocol):
    """Raises `ChromaFailed`, and `StoreError` for what the record raises."""

    @property
    def open_to_readers(self) -> bool:
        """Whether a process that does not write the index may search it."""

    def exists(self) -> bool:
        """Whether there may be an index already. Cheap: nothing is imported or opened."""

    def acquire(self) -> bool:
        """Become, or stay, the one process that writes."""

    def open(self) -> ChromaIndex | None:
        """The whole index that was left here; what is broken or half built is cleared away."""

    def create(self) -> ChromaIndex:
        """An empty index, which nobody finds until it is published."""

    def publish(self, index: ChromaIndex) -> None:
        """It is whole: from now on `open` gives this one."""

    def is_current(self, index: ChromaIndex) -> bool:
        """Whether `open` would give this one."""

    def retire(self, index: ChromaIndex) -> None:
        """It is not needed any more."""

    def release(self, index: ChromaIndex, clean: bool) -> None:
        """Let go of an index; unless `clean`, it is tested before it is opened again."""

    def close(self) -> None:
        """Let go of the right to write."""

    def after_fork(self, inherited: object) -> None:
        """In the child: share nothing with the parent, and never drop what was inherited."""


class LocalHome:
    """A folder of this machine; the embedded Chroma allows one process at a time in it."""

    open_to_readers = False

    def __init__(self, folder: Path, embedder: str) -> None:
        self._folder, self._embedder = folder, embedder
        self._lock: Any = None
        self._clients: dict[ChromaIndex, tuple[Any, Path]] = {}

    def exists(self) -> bool:
        return bool(self._generations())

    def acquire(self) -> bool:
        if not _Embedded.usable:
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

    def publish(self, index: ChromaIndex) -> None:
        """Nothing to do: the newest whole generation is the one that counts."""

    def is_current(self, index: ChromaIndex) -> bool:
        return True

    def retire(self, index: ChromaIndex) -> None:
        _, folder = self._clients[index]
        self.release(index, clean=True)
        shutil.rmtree(folder, ignore_errors=True)

    def release(self, index: ChromaIndex, clean: bool) -> None:
        client, folder = self._clients.pop(index)
        with contextlib.suppress(StoreError), translated("close"):
            client.close()
            if clean:
                _mark(folder).unlink(missing_ok=True)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def after_fork(self, inherited: object) -> None:
        _abandoned.extend([self._clients, self._lock, inherited])
        self._clients, self._lock = {}, None

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
        if _mark(folder).exists() and not probed(folder, _name(self._embedder)):
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

    def _index(self, folder: Path) -> ChromaIndex:
        client = persistent_client(folder)
        try:
            index = ChromaIndex(client, _name(self._embedder), self._embedder)
        except ChromaFailed:
            client.close()
            raise
        self._clients[index] = client, folder
        return index


class TemporaryHome(LocalHome):
    """A private folder that is gone with the store: for records that are in memory themselves."""

    def __init__(self, embedder: str) -> None:
        super().__init__(_temporary_folder(), embedder)
        self._finish = weakref.finalize(self, _remove, self._folder, os.getpid())

    def close(self) -> None:
        super().close()
        self._finish()

    def after_fork(self, inherited: object) -> None:
        super().after_fork(inherited)
        self._finish.detach()
        self._folder = _temporary_folder()
        self._finish = weakref.finalize(self, _remove, self._folder, os.getpid())


class ClientHome:
    """A Chroma server, or a client of the user's: all processes search, one writes.

    Which collection counts, and who writes, stands in the record, which the processes share.
    `connect` makes a client that the home closes, and that a forked child makes anew; or it gives
    the user's own (`reconnects=False`), which stays open, and which a child cannot share: it scans.
    """

    open_to_readers = True

    def __init__(
        self,
        connect: Callable[[], Any],
        record: EntryStore,
        embedder: str,
        *,
        reconnects: bool = True,
    ) -> None:
        self._connect, self._record, self._embedder = connect, record, embedder
        self._reconnects = reconnects
        self._lease = Lease(record, "index.writer")
        self._client: Any = None
        self._lost = False
        self._names: dict[ChromaIndex, str] = {}

    def exists(self) -> bool:
        return not self._lost and bool(self._record.meta("index.name"))

    def acquire(self) -> bool:
        try:
            return not self._lost and self._lease.acquire()
        except StoreReadOnly:
            return False

    def open(self) -> ChromaIndex | None:
        name = self._record.meta("index.name")
        if self._lost or not name or not self._has(name):
            return None
        index = ChromaIndex(self._connected(), name, self._embedder)
        self._names[index] = name
        return index

    def create(self) -> ChromaIndex:
        self._clear_away()
        name = f"{_name(self._embedder)}-{uuid.uuid4().hex[:12]}"
        self._record.set_meta("index.building", name)
        index = ChromaIndex(self._connected(), name, self._embedder)
        self._names[index] = name
        return index

    def publish(self, index: ChromaIndex) -> None:
        self._record.set_meta("index.name", self._names[index])
        self._record.set_meta("index.building", "")

    def is_current(self, index: ChromaIndex) -> bool:
        return self._record.meta("index.name") == self._names[index]

    def retire(self, index: ChromaIndex) -> None:
        name = self._names.pop(index)
        if name == self._record.meta("index.name"):
            self._record.set_meta("index.name", "")
        with translated("delete"):
            self._connected().delete_collection(name)

    def release(self, index: ChromaIndex, clean: bool) -> None:
        self._names.pop(index, None)

    def close(self) -> None:
        with contextlib.suppress(StoreError):
            self._lease.release()
        if self._client is not None and self._reconnects:
            close_http_client(self._client)
            self._client = None

    def after_fork(self, inherited: object) -> None:
        _abandoned.extend([self._client, self._names, inherited])
        self._client, self._names = None, {}
        self._lease = Lease(self._record, "index.writer")
        self._lost = not self._reconnects

    def _connected(self) -> Any:
        if self._client is None:
            with translated("reach the server of"):
                self._client = self._connect()
        return self._client

    def _has(self, name: str) -> bool:
        from chromadb.errors import NotFoundError

        with translated("look for"):
            try:
                self._connected().get_collection(name, embedding_function=None)
            except (NotFoundError, ValueError):
                return False
        return True

    def _clear_away(self) -> None:
        """Delete what a writer that died had begun to build."""
        if (name := self._record.meta("index.building")) and self._has(name):
            with translated("delete"):
                self._connected().delete_collection(name)


def persistent_client(folder: Path) -> Any:
    """An embedded client over `folder`, which is marked as in use until it is closed cleanly."""
    with translated("open"):
        import chromadb
        from chromadb.config import Settings

        _mark(folder).touch()
        # Chroma keeps the journal mode it finds: 2 fsyncs a write in this one, 8 in its own.
        with contextlib.closing(sqlite3.connect(folder / "chroma.sqlite3")) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))


def http_client(host: str, port: int, ssl: bool, timeout: float = _HTTP_TIMEOUT) -> Any:
    """A client of a Chroma server that gives up after `timeout` seconds without an answer.

    chromadb itself waits for ever, and has no setting for it. As it asks its server something
    before the session can be changed, the server is first asked for a sign of life.
    """
    import chromadb
    import httpx
    from chromadb.config import Settings

    heartbeat = f"{'https' if ssl else 'http'}://{host}:{port}/api/v2/heartbeat"
    httpx.get(heartbeat, timeout=timeout).raise_for_status()
    client = chromadb.HttpClient(host, port, ssl, settings=Settings(anonymized_telemetry=False))
    for session in _sessions(client):
        session.timeout = httpx.Timeout(timeout)
    return client


def close_http_client(client: Any) -> None:
    """Close a client of `http_client`, and its connections, which chromadb forgets."""
    sessions = _sessions(client)
    client.close()
    for session in sessions:
        session.close()


def _sessions(client: Any) -> list[Any]:
    """The connection pools of a client: its own, and that of the one it looks up databases with."""
    clients = (client, getattr(client, "_admin_client", None))
    servers = [getattr(one, "_server", None) for one in clients]
    return [
        server._session for server in servers if server is not None and hasattr(server, "_session")
    ]


def _mark(folder: Path) -> Path:
    return folder / "in-use"


def _name(embedder: str) -> str:
    return "semcache-" + hashlib.sha256(embedder.encode()).hexdigest()[:12]


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"semcache-{uuid.uuid4().hex}"


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child runs the parent's finalizers as well
        shutil.rmtree(folder, ignore_errors=True)
