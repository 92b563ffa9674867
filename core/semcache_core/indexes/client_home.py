"""Indexes on a Chroma server, or wherever a client of the user's keeps them."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from semcache_core.errors import StoreError, StoreReadOnly
from semcache_core.indexes.chroma import ChromaIndex, translated
from semcache_core.indexes.clients import close_http_client
from semcache_core.indexes.homes import abandoned, collection_name
from semcache_core.indexes.large import LargeIndex
from semcache_core.indexes.lease import Lease
from semcache_core.protocols import EntryStore


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
        self._names: dict[LargeIndex, str] = {}

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
        name = f"{collection_name(self._embedder)}-{uuid.uuid4().hex[:12]}"
        self._record.set_meta("index.building", name)
        index = ChromaIndex(self._connected(), name, self._embedder)
        self._names[index] = name
        return index

    def publish(self, index: LargeIndex) -> None:
        self._record.set_meta("index.name", self._names[index])
        self._record.set_meta("index.building", "")

    def is_current(self, index: LargeIndex) -> bool:
        return self._record.meta("index.name") == self._names[index]

    def looked_after(self, index: LargeIndex) -> None:
        """Nothing to do: its files are the server's."""

    def retire(self, index: LargeIndex) -> None:
        name = self._names.pop(index)
        if name == self._record.meta("index.name"):
            self._record.set_meta("index.name", "")
        with translated("delete"):
            self._connected().delete_collection(name)

    def release(self, index: LargeIndex, clean: bool) -> None:
        self._names.pop(index, None)

    def close(self) -> None:
        with contextlib.suppress(StoreError):
            self._lease.release()
        if self._client is not None and self._reconnects:
            close_http_client(self._client)
            self._client = None

    def after_fork(self, inherited: object) -> None:
        abandoned.extend([self._client, self._names, inherited])
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
