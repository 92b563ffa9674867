"""Evaluators score how well a stored answer serves a query; guards are those that only reject."""

from __future__ import annotations

from semcache_core.evaluators.compose import (
    Stage,
    aevaluate,
    all_of,
    any_of,
    cascade,
    evaluate,
    guarded,
    weighted,
)
from semcache_core.evaluators.default import (
    RECOMMENDED_FLOOR,
    RECOMMENDED_THRESHOLD,
    default_evaluator,
)
from semcache_core.evaluators.distance import L2, Cosine, Exact
from semcache_core.evaluators.guards import Guards
from semcache_core.evaluators.verifier import Verifier

__all__ = [
    "L2",
    "RECOMMENDED_FLOOR",
    "RECOMMENDED_THRESHOLD",
    "Cosine",
    "Exact",
    "Guards",
    "Stage",
    "Verifier",
    "aevaluate",
    "all_of",
    "any_of",
    "cascade",
    "default_evaluator",
    "evaluate",
    "guarded",
    "weighted",
]
