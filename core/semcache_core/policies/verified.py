"""Learn online which hits are right, per answer and pooled, and certify what was learnt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from semcache_core.models import Query, Score, Scored
from semcache_core.policies._answers import Answers
from semcache_core.policies._common import DEFAULT_FLOOR
from semcache_core.policies._logistic import Logistic
from semcache_core.policies.calibrated import AUDIT_RATE, CalibratedPolicy

FEATURES = ("value", "margin", "votes", "record")

PRIOR = (-4.0, 5.5, 8.0, 2.5, 0.35)
"""Weights before the first label: about what BANKING77 and CLINC150 teach (MiniLM cosines)."""

SPREAD = (3.0, 3.0, 4.0, 1.5, 0.3)
"""How far from PRIOR the weights may well be: a few hundred labels overrule it."""


class VerifiedPolicy(CalibratedPolicy):
    """vCache's idea (arXiv 2502.03771: verify cached answers online), under a false-hit budget.

    What vCache's published rule lacks, as measured, and what stands here instead:

    - it bounds errors per request, so that rare hits may mostly be wrong; here a certificate
      bounds the share of hits that are wrong, and nothing is served without one
    - each entry learns alone and most never do; here one logistic regression is pooled over all
      entries, with a prior, and an entry's own labels enter as one of its features
    - it sees only the nearest entry; here the neighbours vote: labels tell which entries hold the
      same answer, and entries with another answer nearby make a hit doubtful
    - it explores at a rate that its rule sets, unseeded; here seeded audits at a rate you set

    The features of the best candidate among those handed over (5 or more are wanted): its value;
    the answer-aware margin to the nearest different answer; the share of the others that hold its
    answer; the log odds of its answer's labels so far. Every answer is stored: with the groups
    known, near ones of the same group help. Storing only different ones, as vCache must, cost two
    fifths of the hits (BANKING77 at 5%: 27% against 46%).

    The rest is `CalibratedPolicy`, on the learnt probability in place of the value; by default
    every miss is compared, and `fill` is 1, since margin and votes already show how thin the cache
    is. State: about 500 kB of JSON at most.
    """

    name = "verified"
    neighbours = 8
    """How many candidates the votes are counted among; 5 did as well in the benchmark."""

    def __init__(
        self,
        max_false_hit_rate: float,
        confidence: float = 0.95,
        *,
        floor: float = DEFAULT_FLOOR,
        audit_rate: float = AUDIT_RATE,
        label_misses: float = 1.0,
        fill: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            max_false_hit_rate,
            confidence,
            floor=floor,
            audit_rate=audit_rate,
            label_misses=label_misses,
            fill=fill,
            seed=seed,
        )
        self._model = Logistic(PRIOR, SPREAD)
        self._answers = Answers()

    def _view(self, usable: Sequence[Scored]) -> Scored:
        """The best candidate with the learnt probability as its value, the features as parts."""
        best = usable[0]
        features = self._features(usable)
        parts = tuple(Score(x, name) for x, name in zip(features, FEATURES, strict=True))
        score = Score(self._model.probability(features), self.name, parts=(*parts, best.score))
        return replace(best, score=score)

    def _features(self, usable: Sequence[Scored]) -> tuple[float, ...]:
        groups = [self._answers.group(s.candidate.entry) for s in usable]
        best, others = usable[0], range(1, len(usable))
        same = sum(groups[i] == groups[0] for i in others)
        rival = next((i for i in others if groups[i] != groups[0]), len(usable) - 1)
        right, wrong = self._answers.record(groups[0])
        return (
            best.value,
            best.value - usable[rival].value,
            same / (self.neighbours - 1),
            math.log((right + 2.0) / (wrong + 0.5)),
        )

    def _learn(self, query: Query, scored: Scored, correct: bool, asked_for: bool) -> None:
        if asked_for:
            features = [part.value for part in scored.score.parts[: len(FEATURES)]]
            self._model.learn(features, correct)
        self._answers.learn(query.text, scored.candidate.entry, correct)

    def _dump(self) -> dict[str, Any]:
        learnt = {"model": self._model.dump(), "answers": self._answers.dump()}
        return {**super()._dump(), **learnt}

    def _load(self, saved: Mapping[str, Any]) -> None:
        model, answers = Logistic(PRIOR, SPREAD), Answers()
        model.load(saved.get("model"))
        answers.load(saved.get("answers"))
        super()._load(saved)
        self._model, self._answers = model, answers
