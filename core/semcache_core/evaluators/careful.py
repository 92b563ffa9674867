"""Guards, then the verifier; and word for word where a near question is hardly ever the same."""

from __future__ import annotations

from collections.abc import Sequence

from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.evaluators.guards import Guards, wording
from semcache_core.evaluators.guards._pair import Pair, pair_of
from semcache_core.evaluators.verifier import Verifier
from semcache_core.models import Candidate, Query, Score
from semcache_core.protocols import Evaluator

FRAME = 2
"""Words on each side by which a look-alike differs: one frame, another name or value in it.

Neighbours that say the rest otherwise too are merely of one subject. Counting those as well cost
more than half of the hits on a cache of 1,000 questions of one field, and none of the false ones.
"""
NEAR = 0.65
"""Cosine from which another candidate counts."""
DOUBT = 0.6
"""What is left of the score of a candidate that would have to be word for word, and is not.

Not zero: it stays in the order of the others, for who lowers the threshold, and is not served at
the recommended one.
"""


class Careful(BaseEvaluator):
    """The default: three looks at each candidate, none of which runs a model.

    Guards reject. The verifier scores what they let pass. Two orders ("play some jazz"), and
    questions beside a look-alike, must agree word for word (`guards.wording`) or their score is
    multiplied by `DOUBT`: in traffic of names and values the nearest question is mostly another
    one. Crowds are what local scaling (Zelnik-Manor and Perona 2004) corrects distances for; here
    only neighbours that differ count, so that one question asked in many ways is no crowd.
    """

    blocking = False
    recommended_threshold = Verifier.recommended_threshold

    def __init__(self, guards: Guards, verifier: Verifier) -> None:
        self.guards = guards
        self.verifier = verifier

    @property
    def parts(self) -> tuple[Evaluator, ...]:
        return (self.guards, self.verifier)

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def identity(self) -> str:
        return f"careful({self.guards.identity}, {self.verifier.identity})"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        pairs = [pair_of(query.text, one.entry.query or "") for one in candidates]
        guarded = [self.guards.of_pair(pair) for pair in pairs]
        crowded = _crowded(pairs, candidates, guarded)
        return [
            self._judged(pair, one.similarity, looks, crowd=crowd)
            for pair, one, looks, crowd in zip(pairs, candidates, guarded, crowded, strict=True)
        ]

    def _judged(self, pair: Pair, similarity: float, looks: Score, *, crowd: bool) -> Score:
        if looks.rejected:
            return Score(looks.value, looks.by, looks.reason, rejected=True, parts=(looks,))
        value = self.verifier.of_pair(pair, similarity)
        why = wording.unequal(pair) if crowd else wording.differ(pair)
        if why:
            why = f"{'among look-alikes' if crowd else 'an order'}: {why}"
            value *= DOUBT
        return Score(value, self.name, why, parts=(looks, Score(value, self.name, why)))


def _crowded(
    pairs: Sequence[Pair], candidates: Sequence[Candidate], guarded: Sequence[Score]
) -> list[bool]:
    """Which candidates have a look-alike beside them: near the query, in its frame, not the same.

    Of a rejected one it is not asked.
    """
    if len(pairs) < 2 or all(looks.rejected for looks in guarded):
        return [False] * len(pairs)
    differing: list[int] = []
    for at, (pair, one, looks) in enumerate(zip(pairs, candidates, guarded, strict=True)):
        if one.similarity >= NEAR and _lookalike(pair, rejected=looks.rejected):
            differing.append(at)
            if len(differing) > 1:  # so that each has another one beside it
                break
    return [differing not in ([], [at]) for at in range(len(pairs))]


def _lookalike(pair: Pair, *, rejected: bool) -> bool:
    # What is left is at most what differs, and to find it costs more.
    if len(pair.diff_a) > FRAME and len(pair.left_a) > FRAME:
        return False
    if len(pair.diff_b) > FRAME and len(pair.left_b) > FRAME:
        return False
    return rejected or bool(wording.unequal(pair))
