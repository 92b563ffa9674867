"""Proportions with intervals, and how well scores order what they were given for. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcache_core.policies._bounds import wilson

FEWEST = 5
"""A precision seen on fewer hits than this says nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The proportion; not a number if there was nothing to count."""
        return self.part / self.whole if self.whole else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95% (Wilson 1927); (0, 1) for nothing."""
        return wilson(self.part, self.whole)

    def to_dict(self) -> dict[str, object]:
        """For JSON: value (None for nothing), low, high, part, whole."""
        low, high = self.interval
        value = self.value if self.whole else None
        return {"value": value, "low": low, "high": high, "part": self.part, "whole": self.whole}

    def __str__(self) -> str:
        if not self.whole:
            return "-"
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would give: one point of the curve of precision against hit rate (P-CHR)."""

    threshold: float
    hits: int
    hit_rate: float
    precision: float
    recall: float


def curve(
    values: Sequence[float], right: Sequence[bool], lookups: int, answerable: int
) -> tuple[Point, ...]:
    """A point for each threshold that changes the hits, strictest first.

    `values` and `right`, shape (n,): of each lookup with a candidate that nothing rejected, the
    best one's score and whether its answer is right. `lookups` counts all, `answerable` those
    that a right answer was stored for.
    """
    s, y = np.asarray(values, float), np.asarray(right, bool)
    order = np.argsort(-s, kind="stable")
    s, found = s[order], np.cumsum(y[order])
    # A threshold cannot cut through equal scores.
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True)[: len(s)])
    return tuple(
        Point(
            float(s[i]),
            int(i) + 1,
            (int(i) + 1) / lookups,
            int(found[i]) / (int(i) + 1),
            int(found[i]) / answerable if answerable else 0.0,
        )
        for i in last
    )


def recall_at(points: Sequence[Point], precision: float) -> float:
    """The largest recall at which the precision is still at least that; 0 if it never is."""
    sound = (p.recall for p in points if p.hits >= FEWEST and p.precision >= precision)
    return max(sound, default=0.0)


def point_at(points: Sequence[Point], hit_rate: float) -> Point | None:
    """The strictest point with that hit rate or a larger one; None if no threshold reaches it."""
    return next((p for p in points if p.hit_rate >= hit_rate - 1e-9), None)


def area(right: Sequence[bool] | NDArray[np.bool_], values: Sequence[float]) -> float:
    """Area under the ROC curve; not a number if all are right, or none.

    The probability that a right one scores higher than a wrong one, ties counting half (Mann and
    Whitney 1947). Minus infinity marks what was rejected.
    """
    y, s = np.asarray(right, bool), np.asarray(values, float)
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    good, bad = int(y.sum()), int((~y).sum())
    if not good or not bad:
        return math.nan
    return float((rank[y].sum() - good * (good + 1) / 2) / (good * bad))
