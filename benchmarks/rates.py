"""Figures of merit of a ranking: area under the curve, recall at a precision."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from semcache_core.evaluation.shares import area, curve, recall_at


class Ranked(NamedTuple):
    """How well scores order pairs."""

    area: float
    """Probability that a match scores higher than a non-match; ties count half."""
    recall: float
    """The largest at which precision is still that asked for."""


def ranked(labels: ArrayLike, scores: ArrayLike, precision: float = 0.95) -> Ranked:
    """Area under the ROC curve, and recall at the precision; -inf marks a rejected pair."""
    y, s = np.asarray(labels, bool), np.asarray(scores, float)
    sound = s > -math.inf
    points = curve(s[sound].tolist(), y[sound].tolist(), len(y), int(y.sum()))
    return Ranked(area(y, s.tolist()), recall_at(points, precision))
