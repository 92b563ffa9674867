"""Bytes an entry takes: on disk in each record, in the index, and in memory.

    python -m benchmarks.sizes [--entries 20000] [--answer 750] [--url postgresql+psycopg://...] ...

Questions of 60 characters, vectors of 384 numbers, answers of `--answer` bytes, one scope. Each
`--url` names a further record (PostgreSQL, MySQL, Redis), which is CLEARED. Memory is what a new
process grows by from the opened cache to its first search, which reads the whole scope.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from semcache_core.models import Entry
from semcache_core.store import Store, open_store

DIMENSION = 384


class Embedder:
    """What a store asks of an embedder."""

    identity = "random"
    dimension = DIMENSION


def opened(path: Path | None, **options: Any) -> Store:
    """A store of random vectors."""
    store_of: Any = open_store
    made: Store = store_of(path, embedder=Embedder(), **options)
    return made


def entries(first: int, count: int, answer: int) -> list[Entry]:
    """Entries with answers of so many bytes."""
    random = np.random.default_rng(first)
    rows = random.standard_normal((count, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Entry(
            f"{first + i:064x}", "0" * 64, "", random.bytes(answer), 1.7e9, f"{first + i:060}", row
        )
        for i, row in enumerate(rows)
    ]


def fill(store: Store, count: int, answer: int) -> None:
    """Put them, a thousand at a time."""
    for first in range(0, count, 1_000):
        store.put(entries(first, min(1_000, count - first), answer))


def size(folder: Path) -> int:
    """Bytes of all files below a folder, or of the one file."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def grown(path: Path, scan_limit: int) -> int:
    """By how much a process grows when it searches this cache; run in a process of its own."""
    with closing(opened(path, scan_limit=scan_limit)) as store:
        before = resident()
        store.nearest("0" * 64, entries(0, 1, 1)[0].vector, 1)  # type: ignore[arg-type]  # it has one
        store.flush()
        store.nearest("0" * 64, entries(0, 1, 1)[0].vector, 1)  # type: ignore[arg-type]
        return resident() - before


def _in_a_process(path: Path, scan_limit: int) -> int:
    code = "import sys; from pathlib import Path; from benchmarks.sizes import grown; "
    code += f"print(grown(Path(sys.argv[1]), {scan_limit}))"
    command = [sys.executable, "-c", code, str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def server_size(url: str) -> int:
    """Bytes that a record on a server takes, as the server says."""
    if url.startswith("redis"):
        from redis import Redis

        return int(Redis.from_url(url).info("memory")["used_memory"])
    from sqlalchemy import create_engine

    asked = {
        "postgresql": "SELECT pg_total_relation_size('semcache')",
        "mariadb": "SELECT data_length + index_length FROM information_schema.tables"
        " WHERE table_name = 'semcache'",
    }
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name in ("mysql", "mariadb"):
            connection.exec_driver_sql("ANALYZE TABLE semcache").all()
        found = connection.exec_driver_sql(
            asked.get(engine.dialect.name, asked["mariadb"])
        ).scalar_one()
    engine.dispose()
    return int(found)


def main() -> None:
    """Print a line for each place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--answer", type=int, default=750)
    parser.add_argument("--url", action="append", default=[])
    given = parser.parse_args()
    count = given.entries
    payload = given.answer + 60 + 4 * DIMENSION

    def tell(what: str, total: int) -> None:
        each = total / count
        print(
            f"{what:28} {each:8.0f} bytes an entry, {each / payload:5.2f} x question+vector+answer"
        )

    print(f"{count} entries; question + vector + answer: {payload} bytes")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary)
        with closing(opened(path, scan_limit=10**9)) as store:
            fill(store, count, given.answer)
        tell("SQLite", size(path))
        tell("memory, scanned", _in_a_process(path, 10**9))
        with closing(opened(path, scan_limit=100)) as store:
            store.nearest("0" * 64, entries(0, 1, 1)[0].vector, 1)  # type: ignore[arg-type]
            store.flush()
        tell("Chroma's files", size(path / "index"))
        tell("memory, Chroma", _in_a_process(path, 100))
    for url in given.url:
        with closing(opened(None, entries=url, scan_limit=10**9)) as store:
            store.clear()
            before = server_size(url)
            fill(store, count, given.answer)
            tell(url.partition(":")[0], server_size(url) - before)
            store.clear()


if __name__ == "__main__":
    main()
