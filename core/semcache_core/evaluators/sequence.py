"""Conversations compared turn by turn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.evaluators._base import BaseEvaluator, described, is_number, unit
from semcache_core.models import Candidate, Matrix, Query, Score
from semcache_core.protocols import Embedder


class SequenceMatch(BaseEvaluator):
    """A weighted mean of similarities: of the questions, and of the turns before them.

    Turns are aligned from the newest. `weights` are newest first, the question's own the first;
    older turns than there are weights are not looked at, and the weights of those that both or
    one of the conversations have are brought to a sum of 1. A turn that only one of them has
    counts as 0: what was said before may change what the question means.

    With `worst` above 0, one turn below it makes the score 0: a mean alone would let equal
    questions outvote a different subject two turns ago.
    """

    recommended_threshold = 0.85

    def __init__(
        self,
        embedder: Embedder,
        weights: Sequence[float] = (0.5, 0.25, 0.125, 0.0625),
        worst: float = 0.0,
    ) -> None:
        """Raise `IncompatibleError` without an embedder, `ConfigError` for unusable weights."""
        if not isinstance(embedder, Embedder):
            raise IncompatibleError(
                f"embedder={embedder!r}: earlier turns are compared by meaning, which needs one"
            )
        if not isinstance(weights, Sequence) or not all(is_number(w) and w > 0 for w in weights):
            raise ConfigError(f"weights={weights!r}: give positive numbers, newest first")
        if not weights:
            raise ConfigError("weights=(): give at least one, the question's own")
        if list(weights) != sorted(weights, reverse=True):
            raise ConfigError(f"weights={tuple(weights)!r}: the newest must weigh most")
        if not is_number(worst) or not 0.0 <= worst <= 1.0:
            raise ConfigError(f"worst={worst!r}: give a similarity in [0, 1]")
        self._worst = worst
        self._embedder = embedder
        self._weights = tuple(float(weight) for weight in weights)

    @property
    def name(self) -> str:
        return "sequence"

    @property
    def identity(self) -> str:
        return described(self.name, self._embedder.identity, self._weights, self._worst)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        kept = len(self._weights) - 1
        texts = dict.fromkeys([*query.turns, *(t for c in candidates for t in c.entry.turns)])
        rows = self._embedder.embed(list(texts)) if texts else ()
        vectors = {text: row[None, :] for text, row in zip(texts, rows, strict=True)}
        asked = _newest(query.turns, kept)
        return [self._one(asked, _newest(c.entry.turns, kept), c, vectors) for c in candidates]

    def _one(
        self,
        asked: Sequence[str],
        stored: Sequence[str],
        candidate: Candidate,
        vectors: dict[str, Matrix],
    ) -> Score:
        similar = [candidate.similarity]
        similar += [float((vectors[a] @ vectors[b].T)[0, 0]) for a, b in zip(asked, stored)]  # noqa: B905  # the longer one's rest counts as 0
        used = self._weights[: 1 + max(len(asked), len(stored))]
        reason = f"turn by turn, newest first: {', '.join(f'{s:.2f}' for s in similar)}"
        if min(similar) < self._worst or (self._worst > 0 and len(asked) != len(stored)):
            return Score(0.0, self.name, f"a turn differs; {reason}")
        total = math.fsum(weight * unit(s) for weight, s in zip(used, similar, strict=False))
        return Score(unit(total / math.fsum(used)), self.name, reason)


def _newest(turns: Sequence[str], count: int) -> list[str]:
    """At most `count` turns, newest first."""
    return list(reversed(turns))[:count]
