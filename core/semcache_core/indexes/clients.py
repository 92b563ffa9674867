"""Clients of Chroma: embedded over a folder, or of a server."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import ssl
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from semcache_core.errors import ConfigError
from semcache_core.indexes.chroma import translated
from semcache_core.indexes.manifest import in_use

_HTTP_TIMEOUT = 5.0
_EXAMPLE = "http(s)://host:port"


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


@dataclass(frozen=True, slots=True)
class ChromaServer:
    """Where a Chroma server is and how it is spoken to. Raises `ConfigError`.

    `url`: `http(s)://host:port`, with the path a proxy may want. `headers` go with each request: a
    proxy's credentials, say. `timeout`: seconds without an answer after which the server counts as
    failed. `verify`: whether its certificate is checked, or a file of authorities to check it by.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = _HTTP_TIMEOUT
    verify: bool | str = True

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"url is that of a Chroma server, {_EXAMPLE}")
        if parts.username or parts.query or parts.fragment:
            raise ConfigError(
                f"url is that of a Chroma server, {_EXAMPLE}; credentials belong into url_headers:"
                " {'Authorization': 'Bearer ...'}"
            )
        if not (isinstance(self.timeout, int | float) and 0 < self.timeout < math.inf):
            raise ConfigError(
                f"url_timeout: {self.timeout!r} was given; it is a positive number of seconds"
            )
        if not isinstance(self.headers, Mapping):
            raise ConfigError(
                f"url_headers: a {type(self.headers).__name__} was given; give a mapping of names"
                " to texts"
            )

    @property
    def address(self) -> str:
        """The URL with its port, as chromadb wants it."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 8000)
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def http_client(server: ChromaServer) -> Any:
    """A client of a Chroma server that gives up when it does not answer.

    chromadb itself waits for ever, and has no setting for it. As it asks its server something
    before the session can be changed, the server is first asked for a sign of life.
    """
    import chromadb
    import httpx
    from chromadb.config import Settings

    headers = dict(server.headers)
    heartbeat = f"{server.address}/api/v2/heartbeat"
    answer = httpx.get(
        heartbeat, timeout=server.timeout, headers=headers, verify=_context(server.verify)
    )
    answer.raise_for_status()
    with warnings.catch_warnings():
        # chromadb hands a file's name to httpx, which would rather have it another way.
        warnings.filterwarnings("ignore", "`verify=<str>`", DeprecationWarning)
        client = chromadb.HttpClient(
            server.address,
            ssl=server.address.startswith("https"),
            headers=headers,
            settings=Settings(anonymized_telemetry=False, chroma_server_ssl_verify=server.verify),
        )
    for session in _sessions(client):
        session.timeout = httpx.Timeout(server.timeout)
    return client


def _context(verify: bool | str) -> Any:
    """No file name is taken by httpx any more."""
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


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
