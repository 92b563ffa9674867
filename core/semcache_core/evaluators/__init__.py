"""Evaluators score how well a stored answer serves a query; guards are those that only reject."""

from __future__ import annotations

from semcache_core.evaluators.bm25 import BM25
from semcache_core.evaluators.cohere import CohereEvaluator
from semcache_core.evaluators.compose import (
    Stage,
    aevaluate,
    all_of,
    any_of,
    cascade,
    evaluate,
    guarded,
    required,
    weighted,
)
from semcache_core.evaluators.cross_encoder import CrossEncoderEvaluator
from semcache_core.evaluators.default import (
    RECOMMENDED_FLOOR,
    RECOMMENDED_THRESHOLD,
    conversation_evaluator,
    default_evaluator,
)
from semcache_core.evaluators.distance import L2, Cosine, Exact
from semcache_core.evaluators.guards import Guards
from semcache_core.evaluators.kreciprocal import KReciprocal
from semcache_core.evaluators.sequence import SequenceMatch
from semcache_core.evaluators.time import TimeDecay
from semcache_core.evaluators.turns import TurnByTurn
from semcache_core.evaluators.verifier import Verifier

__all__ = [
    "BM25",
    "L2",
    "RECOMMENDED_FLOOR",
    "RECOMMENDED_THRESHOLD",
    "CohereEvaluator",
    "Cosine",
    "CrossEncoderEvaluator",
    "Exact",
    "Guards",
    "KReciprocal",
    "SequenceMatch",
    "Stage",
    "TimeDecay",
    "TurnByTurn",
    "Verifier",
    "aevaluate",
    "all_of",
    "any_of",
    "cascade",
    "conversation_evaluator",
    "default_evaluator",
    "evaluate",
    "guarded",
    "required",
    "weighted",
]
