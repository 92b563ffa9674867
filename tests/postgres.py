"""A PostgreSQL server for tests: the one named in SEMCACHE_POSTGRES_URL, or one of our own."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDERS = [
    *os.environ.get("PATH", "").split(os.pathsep),
    *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
]


@contextmanager
def server() -> Iterator[str | None]:
    """The URL of a database that is empty or was used by these tests only; None: there is none."""
    if importlib.util.find_spec("psycopg") is None:
        yield None
    elif url := os.environ.get("SEMCACHE_POSTGRES_URL"):
        yield url
    elif tool := shutil.which("pg_ctl", path=os.pathsep.join(_FOLDERS)):
        with _own_server(Path(tool).parent) as url:
            yield url
    else:
        yield None


@contextmanager
def _own_server(tools: Path) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp())
    user = _unprivileged()
    if user:
        shutil.chown(folder, user)

    def run(*command: str | Path) -> None:
        subprocess.run(
            [str(part) for part in command], user=user, check=True, capture_output=True, cwd=folder
        )

    run(tools / "initdb", "-D", folder / "data", "-A", "trust", "-U", "tester")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run(tools / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", options, "-w", "start")
    try:
        yield f"postgresql+psycopg://tester@/postgres?host={folder}"
    finally:
        run(tools / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str | None:
    """PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
