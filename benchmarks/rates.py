"""Figures of merit: Wilson's interval, area under the curve, recall at a precision."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Z = 1.959964
"""Two-sided 95%."""


class Share(NamedTuple):
    """A proportion with its interval."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        return self.part / self.whole if self.whole else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95%."""
        if not self.whole:
            return 0.0, 1.0
        n, p = self.whole, self.value
        centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        if not self.whole:
            return "-"
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


class Ranked(NamedTuple):
    """How well scores order pairs."""

    area: float
    """Probability that a match scores higher than a non-match; ties count half."""
    recall: float
    """The largest at which precision is still that asked for."""


def ranked(labels: ArrayLike, scores: ArrayLike, precision: float = 0.95) -> Ranked:
    """Area under the ROC curve, and recall at the precision; -inf marks a rejected pair."""
    y, s = np.asarray(labels, float), np.asarray(scores, float)
    return Ranked(_area(y, s), _recall(y, s, precision))


def _area(y: np.ndarray, s: np.ndarray) -> float:
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    right, wrong = y.sum(), (1 - y).sum()
    if not right or not wrong:
        return math.nan
    return float((rank[y == 1].sum() - right * (right + 1) / 2) / (right * wrong))


def _recall(y: np.ndarray, s: np.ndarray, precision: float) -> float:
    order = np.argsort(-s, kind="stable")
    found = np.cumsum(y[order])
    number = np.arange(1, len(y) + 1)
    # A threshold cannot cut through equal scores, and five pairs are too few to speak of.
    last = np.append(s[order][1:] != s[order][:-1], True)
    sound = (found / number >= precision) & last & (number >= 5) & np.isfinite(s[order])
    return float(found[sound].max() / y.sum()) if sound.any() else 0.0
