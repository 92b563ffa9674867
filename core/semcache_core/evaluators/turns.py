"""Questions of several texts, and their earlier turns, compared one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from semcache_core.evaluators._base import BaseEvaluator, described, identity, recommended
from semcache_core.evaluators._combinations import rejects_only
from semcache_core.evaluators.distance import plain
from semcache_core.models import Candidate, Query, Score
from semcache_core.protocols import Embedder, Evaluator
from semcache_core.questions import parts


class TurnByTurn(BaseEvaluator):
    """An evaluator of single questions, for those that are made of several texts.

    Each text is scored against the one in its place; the worst counts, and one that is rejected
    rejects all. In one long text, a name or a number that differs two turns ago hardly shows. Other
    questions are the evaluator's own business.
    """

    def __init__(self, evaluator: Evaluator, embedder: Embedder) -> None:
        self._evaluator = evaluator
        self._embedder = embedder

    @property
    def name(self) -> str:
        return self._evaluator.name

    @property
    def identity(self) -> str:
        return described("turns", identity(self._evaluator))

    @property
    def parts(self) -> tuple[Evaluator, ...]:
        return (self._evaluator,)

    @property
    def recommended_threshold(self) -> float | None:
        return recommended(self._evaluator)

    @property
    def rejects_only(self) -> bool:
        return rejects_only(self._evaluator)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]:
        if _single(query):
            return self._evaluator.score(query, candidates)
        asked = _texts(query.turns, query.text)
        return [self._one(asked, candidate) for candidate in candidates]

    async def ascore(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]:
        """As `score`; texts are embedded in a worker thread."""
        if _single(query):
            return await self._evaluator.ascore(query, candidates)
        return await super().ascore(query, candidates)

    def _one(self, asked: Sequence[str], candidate: Candidate) -> Score:
        stored = _texts(candidate.entry.turns, candidate.entry.query or "")
        if len(asked) != len(stored):
            return Score(0.0, self.name, "another number of texts", rejected=True)
        pairs = [one for one in zip(asked, stored, strict=True) if plain(one[0]) != plain(one[1])]
        scores = [self._pair(*pair, candidate) for pair in pairs]
        if not scores:
            return Score(1.0, self.name, "the same texts")
        worst = min(scores, key=lambda score: (not score.rejected, score.value))
        return replace(worst, by=self.name, parts=tuple(scores))

    def _pair(self, asked: str, stored: str, candidate: Candidate) -> Score:
        ours, theirs = self._embedder.embed([asked, stored])
        entry = replace(candidate.entry, query=stored, turns=(), vector=theirs)
        [score] = self._evaluator.score(
            Query(asked, ours), [Candidate(entry, float(ours @ theirs))]
        )
        return score


def _single(query: Query) -> bool:
    return not query.turns and len(parts(query.text)) == 1


def _texts(turns: Sequence[str], question: str) -> list[str]:
    return [*turns, *parts(question)]
