"""What the cache uses when nothing else is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.evaluators.careful import Careful
from semcache_core.evaluators.compose import all_of, required
from semcache_core.evaluators.guards import Guards
from semcache_core.evaluators.sequence import SequenceMatch
from semcache_core.evaluators.turns import TurnByTurn
from semcache_core.evaluators.verifier import Verifier
from semcache_core.protocols import Embedder

RECOMMENDED_THRESHOLD = Verifier.recommended_threshold
"""For `default_evaluator` with all-MiniLM-L6-v2, read off `benchmarks/quality.py`.

For traffic whose questions differ in a name or a value only (slots), 0.85 is the place to start.
"""
RECOMMENDED_FLOOR = 0.65
"""Cosine similarity below which a candidate is not worth scoring, for the same model."""

RECOMMENDED_CONVERSATION = SequenceMatch.recommended_threshold
"""What `SequenceMatch` must give for a conversation, the weighted mean of its turns' cosines."""
RECOMMENDED_TURN = 0.7
"""What each earlier turn's cosine must reach."""


def default_evaluator(embedder: Embedder, guards: str | Sequence[str] = "core") -> BaseEvaluator:
    """Guards first, then the verifier for those that pass. Raises `ConfigError` for unknown guards.

    The score is a probability (see `Verifier`), for which `RECOMMENDED_THRESHOLD` was measured.
    Neither part runs a model, and of a single question the cache has the vectors anyway. Earlier
    turns that are compared by meaning, and questions of several texts, are scored one by one, for
    which `embedder` is asked.
    """
    return TurnByTurn(Careful(Guards(guards), Verifier()), embedder)


def conversation_evaluator(embedder: Embedder) -> BaseEvaluator:
    """The default one, for questions whose earlier turns are compared by meaning as well."""
    turns = required(SequenceMatch(embedder, worst=RECOMMENDED_TURN), RECOMMENDED_CONVERSATION)
    return all_of(default_evaluator(embedder), turns)
