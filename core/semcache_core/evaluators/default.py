"""What the cache uses when nothing else is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.evaluators.compose import guarded
from semcache_core.evaluators.distance import Cosine
from semcache_core.evaluators.guards import Guards
from semcache_core.protocols import Embedder

RECOMMENDED_THRESHOLD = 0.8
"""For `default_evaluator` with all-MiniLM-L6-v2: what `benchmarks/quality.py` was read for."""
RECOMMENDED_FLOOR = 0.7
"""Cosine similarity below which a candidate is not worth scoring, for the same model."""


def default_evaluator(embedder: Embedder, guards: str | Sequence[str] = "safe") -> BaseEvaluator:
    """Guards first, then the score of those that pass. Raises `ConfigError` for unknown guards."""
    return guarded(Guards(guards), Cosine())
