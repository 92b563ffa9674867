"""Programs that end without close(): nothing is lost, nothing hangs, nobody complains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_values import Wide, entry, wide

from semcache_core.store import open_store

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from store_values import Wide, entry, wide
from semcache_core.store import open_store
store = open_store(Path(sys.argv[1]), embedder=Wide(), scan_limit=30)
store.put([entry(f"k{i}", vector=wide(i)) for i in range(60)])
store.nearest("scope", wide(1), 1)
store.touch("k1")
"""

ENDINGS = {
    "plain": "",
    "index open": "store.flush()\nassert store.health().index == 'chroma'",
    "sys.exit": "sys.exit(0)",
    "forgotten": "del store",
    "closed twice": "store.close(); store.close()",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_end_of_a_program(tmp_path: Path, ending: str) -> None:
    """Entries and use counts are there afterwards; no warning, no traceback, exit status 0."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + ENDINGS[ending], tmp_path, TESTS],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    store = open_store(tmp_path, embedder=Wide(), scan_limit=30)
    assert store.count() == 60
    assert store.get("k1").uses == 1
    assert store.nearest("scope", wide(7), 1, 0.99)[0].entry.key == "k7"
    store.close()


TESTS = str(Path(__file__).parents[1])


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store("~/cache", embedder=Wide())
    store.put([entry("a", vector=wide(1))])
    store.close()
    assert (tmp_path / "cache" / "entries.sqlite3").exists()
