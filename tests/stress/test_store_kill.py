"""Kills and damage: no acknowledged answer is lost, and the index comes back.

A few rounds by default; SEMCACHE_STRESS_ROUNDS=200 for a long run, or `python -m
benchmarks.durability --rounds 200`, which says what happened in each.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.durability import DAMAGES, ORDINARY, Trial, rounds

ROUNDS = int(os.environ.get("SEMCACHE_STRESS_ROUNDS", "3"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*ORDINARY, *DAMAGES])
def test_each_fault(tmp_path: Path, fault: str) -> None:
    """A path lives through one fault of each kind."""
    assert not Trial(tmp_path, seed=1).round(fault)


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_one_fault_after_another(tmp_path: Path) -> None:
    """One path lives through one fault after another."""
    assert not [(fault, lost) for fault, lost, _ in rounds(tmp_path, ROUNDS, seed=2) if lost]
