"""A Hugging Face hub of one model on this machine: enough of its HTTP interface to download it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves the files of a folder as the repository `name`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.asked: list[str] = []
        self.url = ""

    def files(self) -> list[str]:
        """Paths inside the repository."""
        return sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file()
        )

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        self.asked.append(path)
        if path.startswith(f"/api/models/{self.name}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": (self.folder / name).stat().st_size}
                | {"oid": self._etag(name)}
                for name in self.files()
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
        if path.startswith(f"/api/models/{self.name}"):
            about = {
                "id": self.name,
                "sha": COMMIT,
                "private": False,
                "tags": [],
                "siblings": [{"rfilename": name} for name in self.files()],
            }
            return 200, {"Content-Type": "application/json"}, json.dumps(about).encode()
        for name in self.files():
            if path in (
                f"/{self.name}/resolve/{COMMIT}/{name}",
                f"/{self.name}/resolve/main/{name}",
            ):
                headers = {"ETag": f'"{self._etag(name)}"', "X-Repo-Commit": COMMIT}
                return 200, headers, (self.folder / name).read_bytes()
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def _etag(self, name: str) -> str:
        return hashlib.sha1((self.folder / name).read_bytes()).hexdigest()


@contextmanager
def fake_hub(name: str, folder: Path) -> Iterator[FakeHub]:
    """The hub, answering at `url` until the block ends."""
    hub = FakeHub(name, folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = hub.answer(urlparse(self.path).path)
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
