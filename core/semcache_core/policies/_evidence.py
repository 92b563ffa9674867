"""What a lookup shows of one candidate: numbers for a logistic model of "its answer is right"."""

from __future__ import annotations

import math

from semcache_core.models import Scored

EVIDENCE = ("cosine", "gap", "score")
"""The cosine similarity; -log(1 - cosine), which tells near ones apart; the evaluator's score.

Which of them tells right from wrong depends on the traffic. Where questions of one intent want one
answer (BANKING77) the cosine does, and the evaluator's doubts are mostly mistaken; where names and
values make the difference (SNIPS) the score does. So neither is trusted beforehand.
"""

PRIOR = (-5.0, 6.0, 0.5, 2.0)
"""Weights before the first label, the intercept first: near what six streams of questions teach
(MiniLM). They decide how soon something is certified, and never what is."""

SPREAD = (4.0, 5.0, 0.5, 2.5)
"""How far from PRIOR the weights may well be: some hundred labels overrule it."""

_CLOSE = 1e-3
"""Embeddings of one text differ by rounding: nearer than this is no nearer."""


def evidence(cosine: float, score: float) -> tuple[float, ...]:
    """The numbers, in the order of EVIDENCE."""
    return cosine, -math.log(max(_CLOSE, 1.0 - cosine)), score


def evidence_of(scored: Scored) -> tuple[float, ...]:
    """The numbers for a candidate as an evaluator scored it."""
    return evidence(scored.candidate.similarity, scored.value)
