"""Whether an index that was not closed still works, found out where a crash harms nobody.

A kill in the middle of Chroma's writing can leave an index that crashes its process, hangs, or
takes writes that no search ever finds. So a process of its own opens it, searches, writes, and
searches for what it wrote: `python -m semcache_core.indexes.probe FOLDER COLLECTION`.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

_log = logging.getLogger(__name__)

TIMEOUT = 60.0
"""Seconds after which an index counts as hanging. One of 100,000 vectors takes 3 in all."""


def probed(folder: Path, name: str, timeout: float = TIMEOUT) -> bool:
    """Whether the index in `folder` passed the test."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(  # noqa: S603  # our own module, no shell
            _command(folder, name),
            env=environment,
            timeout=timeout,
            capture_output=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("the index in %s did not stand the test: %s", folder, error)
        return False
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        _log.warning("the index in %s did not stand the test: %s", folder, *(said or ["no word"]))
    return done.returncode == 0


def _command(folder: Path, name: str) -> list[str]:
    return [sys.executable, "-m", "semcache_core.indexes.probe", str(folder), name]


def works(collection: Any) -> bool:
    """Whether what is written is found, and what was there can be searched."""
    sample = collection.get(limit=1, include=["embeddings"])["embeddings"]
    if not len(sample):
        return False  # nothing to lose, and its dimension is not known
    vector = np.random.default_rng().standard_normal(np.shape(sample)[-1])
    vector /= np.linalg.norm(vector)
    collection.upsert(ids=["probe"], embeddings=[vector.tolist()])
    found = collection.query(query_embeddings=[vector.tolist()], n_results=1, include=[])
    collection.delete(ids=["probe"])
    return bool(found["ids"][0] == ["probe"])


def main(folder: str, name: str) -> int:
    """Test the index; the exit status."""
    from semcache_core.indexes.clients import persistent_client

    client = persistent_client(Path(folder))
    try:
        return 0 if works(client.get_collection(name, embedding_function=None)) else 1
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
