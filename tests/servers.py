"""Servers that tests start for themselves, on a port of their own, and stop again.

A program that is not installed makes the tests that need it skip, and say so; where
SEMCACHE_REQUIRE_SERVERS is set, as `.ci/run` sets it, it makes them fail.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FOLDERS = [
    *os.environ.get("PATH", "").split(os.pathsep),
    "/usr/sbin",
    "/usr/local/sbin",
    *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
]
_STARTING = 60.0


def missing(what: str) -> None:
    """Skip the test, or fail it where everything has to be there."""
    said = f"{what} is not installed"
    if os.environ.get("SEMCACHE_REQUIRE_SERVERS"):
        pytest.fail(f"{said}, and SEMCACHE_REQUIRE_SERVERS is set")
    pytest.skip(said)


def program(name: str) -> Path:
    """Where a program is; without it the test is skipped."""
    found = shutil.which(name, path=os.pathsep.join(_FOLDERS))
    if found is None:
        missing(name)
    return Path(str(found))


def package(name: str) -> None:
    """Skip the test without this Python package."""
    if importlib.util.find_spec(name) is None:
        missing(f"the Python package {name}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """A process that can be killed and started again at the same address."""

    def __init__(self, command: list[str], answers: Callable[[], bool], user: str | None) -> None:
        self._command, self._answers, self._user = command, answers, user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        self._process = subprocess.Popen(
            self._command,
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
        )
        deadline = time.monotonic() + _STARTING
        while not self._answers():
            assert self._process.poll() is None, f"{self._command[0]} ended by itself"
            assert time.monotonic() < deadline, f"{self._command[0]} does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal, for instance to stop it without ending it."""
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def running(
    command: list[str | Path], answers: Callable[[], bool], user: str | None = None
) -> Iterator[Server]:
    """A server for the length of a with."""
    server = Server([str(part) for part in command], answers, user)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def folder(user: str | None = None) -> Iterator[Path]:
    """A folder with a short path, as that of a socket has to be, which `user` owns."""
    made = Path(tempfile.mkdtemp(prefix="semcache-"))
    if user:
        shutil.chown(made, user)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[tuple[str, Server | None]]:
    """The URL of a PostgreSQL database: the one in SEMCACHE_POSTGRES_URL, or one of our own."""
    package("psycopg")
    if url := os.environ.get("SEMCACHE_POSTGRES_URL"):
        yield url, None
        return
    initdb, server, user = program("initdb"), program("postgres"), unprivileged("postgres")
    with folder(user) as home:
        data, port = home / "data", free_port()
        _run(user, initdb, "-D", data, "-A", "trust", "-U", "tester")
        options = f"-k {home} -c listen_addresses=127.0.0.1 -c fsync=off -p {port}".split()
        url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        with running([server, "-D", data, *options], lambda: _connects(url), user) as process:
            yield url, process


@contextmanager
def mariadb() -> Iterator[tuple[str, Server | None]]:
    """The URL of a MariaDB database: the one in SEMCACHE_MARIADB_URL, or one of our own."""
    package("pymysql")
    if url := os.environ.get("SEMCACHE_MARIADB_URL"):
        yield url, None
        return
    install, server = program("mariadb-install-db"), program("mariadbd")
    user = unprivileged("mysql")
    with folder(user) as home:
        data, port = home / "data", free_port()
        _run(
            user,
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
        )
        command: list[str | Path] = [server, "--no-defaults", f"--datadir={data}", f"--port={port}"]
        command += [f"--socket={home / 'socket'}", "--bind-address=127.0.0.1"]
        command += ["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=16M"]
        url = f"mariadb+pymysql://root@127.0.0.1:{port}/test?charset=utf8mb4"
        with running(command, lambda: _connects(url), user) as process:
            yield url, process


@contextmanager
def redis() -> Iterator[tuple[str, Server | None]]:
    """The URL of a Redis server: the one in SEMCACHE_REDIS_URL, or one of our own."""
    package("redis")
    if url := os.environ.get("SEMCACHE_REDIS_URL"):
        yield url, None
        return
    server, port = program("redis-server"), free_port()
    with folder() as home:
        # "always": what was acknowledged is there after kill -9, as with a database.
        command = f"--port {port} --bind 127.0.0.1 --save --dir {home} --appendonly yes".split()
        command[4:5] = ["--save", ""]
        command += ["--appendfsync", "always"]
        with running([server, *command], lambda: _listens(port)) as process:
            yield f"redis://127.0.0.1:{port}/0", process


@contextmanager
def chroma(port: int | None = None) -> Iterator[tuple[str, Server]]:
    """The URL of a Chroma server of our own."""
    port = port or free_port()
    tool = Path(sys.executable).with_name("chroma")
    if not tool.exists():
        tool = program("chroma")
    with folder() as home:
        command: list[str | Path] = [tool, "run", "--path", home, "--port", str(port)]
        with running(command, lambda: _listens(port)) as process:
            yield f"http://127.0.0.1:{port}", process


def unprivileged(name: str) -> str | None:
    """Who runs a server that refuses to be run by root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(one for one in (name, "nobody") if one in names)


def _run(user: str | None, *command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        check=False,
        capture_output=True,
        cwd=tempfile.gettempdir(),
    )
    assert not done.returncode, done.stderr.decode(errors="replace")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _connects(url: str) -> bool:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(url)
    try:
        with engine.connect():
            return True
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()
