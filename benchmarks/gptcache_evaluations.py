"""GPTCache's evaluations as evaluators of ours: they run in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness_envs import ROOT, python
from semcache_core.evaluators._base import BaseEvaluator, unit
from semcache_core.models import Candidate, Query, Score

NAMES = ("distance", "np", "exact")
"""Its default, its Euclidean norm, its exact match. The others (an ONNX model, a cross-encoder,
Cohere) need weights or a service."""
THRESHOLD = 0.8
"""Its default `similarity_threshold`."""


class GPTCache:
    """A process that scores; None of it is imported here."""

    def __init__(self, interpreter: Path) -> None:
        quiet = {**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [str(interpreter), str(ROOT / "benchmarks" / "_gptcache_scores.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=quiet,
            cwd=interpreter.parent,
        )

    def scores(self, name: str, query: str, pairs: list[tuple[str, float]]) -> list[float]:
        """Shares of the evaluation's range, one a stored question."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, query, pairs]) + "\n")
        self._process.stdin.flush()
        found: list[float] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Theirs(BaseEvaluator):
    """One of GPTCache's evaluations; its scores are those that it compares with its threshold."""

    def __init__(self, process: GPTCache, evaluation: str) -> None:
        self._process = process
        self._evaluation = evaluation

    @property
    def name(self) -> str:
        return f"GPTCache {self._evaluation}"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        pairs = [(one.entry.query or "", one.similarity) for one in candidates]
        found = self._process.scores(self._evaluation, query.text, pairs)
        return [Score(unit(value), self.name) for value in found]


def started(home: Path) -> GPTCache | None:
    """The process, in an environment that is made if missing; None if it cannot be."""
    interpreter = python(home.absolute(), "gptcache")
    return None if interpreter is None else GPTCache(interpreter)
