"""Clients of Chroma: embedded over a folder, or of a server."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from semcache_core.indexes.chroma import translated

_HTTP_TIMEOUT = 10.0
"""Seconds without an answer after which a server counts as failed."""


class Embedded:
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
    os.register_at_fork(after_in_child=Embedded.after_fork)


def in_use(folder: Path) -> Path:
    """The file that marks a folder whose client was not closed cleanly, or not yet."""
    return folder / "in-use"


def persistent_client(folder: Path) -> Any:
    """An embedded client over `folder`, which is marked as in use until it is closed cleanly."""
    with translated("open"):
        import chromadb
        from chromadb.config import Settings

        in_use(folder).touch()
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
