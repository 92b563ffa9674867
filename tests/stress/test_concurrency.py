"""Threads and tasks on one cache that evicts: one short round of benchmarks/concurrency.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.concurrency import one

ROUNDS = int(os.environ.get("SEMCACHE_STRESS_ROUNDS", "1"))


@pytest.mark.slow
@pytest.mark.timeout(120 + 30 * ROUNDS)
@pytest.mark.parametrize("where", ["disk", "memory"])
def test_threads_and_tasks(tmp_path: Path, where: str) -> None:
    """Nothing raises, no answer is another's, and all that is kept is found."""
    path = tmp_path if where == "disk" else None
    for _ in range(ROUNDS):
        failures, done = one(path, 400, 1.0)
        assert not failures
        assert done["read"] and done["written"]
