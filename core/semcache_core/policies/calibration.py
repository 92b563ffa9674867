"""From labelled scores to a threshold that keeps the false-hit rate: Learn-then-Test.

Angelopoulos, Bates, Candes, Jordan, Lei (2021), "Learn then Test", arXiv 2110.01052: one null
hypothesis per threshold ("the false-hit rate goes over the budget"), a p-value each, and a test
of the family (section 2). The false-hit rate is not monotone in the threshold, so the thresholds
are tested in an order fixed beforehand, from strict to loose. Where this departs from the paper
it is stricter, for a reason that was measured (`FILL`); `fallback` says how one bad stretch of the
order is survived.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from semcache_core.errors import ConfigError
from semcache_core.policies import _bounds
from semcache_core.policies._common import number, share

FILL = 1.25
"""By how much the false-hit rate may be higher in service than in the labels.

Labels that collect while nothing is served come from a cache that holds every answer. In service
a hit stores nothing, so that cache is thinner, the nearest entry is farther, and at the same
threshold more of the hits are false: 1.0 to 1.3 times, in streams of BANKING77 and CLINC150 that
start empty or continue (`benchmarks/policies.py`). Without this factor 20 of 30 runs on CLINC150
from empty went over a budget of 5%; with 1.2 they were 7 of 100, with 1.25 4 of 100, and none of
those that continued.
"""

RUNGS = np.unique(np.ceil(10 * 1.05 ** np.arange(300))).astype(int)
"""Numbers of hits that thresholds are tested at; fixed, so that every budget tests the same."""

STARTS = (1, 6)
"""The search starts at the fewest hits that can pass, and again at 6 times as many, with half of
the level each. A single start was lost to one bad stretch in half of the runs on BANKING77; other
numbers, places and shares of starts certified fewer of them, or less (95 of 100 with these)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the labels allow: a certified threshold, or None and what is missing."""

    max_false_hit_rate: float
    confidence: float
    labels: int
    """Labelled lookups that this rests on."""
    threshold: float | None = None
    """Serve from this score on; None: nothing can be certified yet."""
    hits: int = 0
    """Labelled lookups at or above the threshold, and how many of those were wrong."""
    false_hits: int = 0
    bound: float = 1.0
    """Upper bound, at `confidence`, of the false-hit rate in service; at most the budget."""
    hit_rate: float = 0.0
    """Expected share of lookups served, with its 95% interval (Wilson)."""
    hit_rate_low: float = 0.0
    hit_rate_high: float = 1.0
    potential: float = 0.0
    """Hit rate of the loosest threshold that would have kept the budget on the labels themselves:
    what more labels may bring."""
    needed: int | None = None
    """Labelled hits still missing if the rest look like the best stretch so far; None: hopeless."""

    @property
    def certified(self) -> bool:
        return self.threshold is not None

    def __str__(self) -> str:
        budget = f"{self.max_false_hit_rate:.1%} false hits at {self.confidence:.0%} confidence"
        if self.threshold is not None:
            return (
                f"certified {budget}: threshold {self.threshold:.4f}, {self.false_hits} of "
                f"{self.hits} labelled hits wrong, at most {self.bound:.2%} in service; expected "
                f"hit rate {self.hit_rate:.1%} "
                f"({self.hit_rate_low:.1%} to {self.hit_rate_high:.1%})"
            )
        if self.needed is None:
            return (
                f"cannot certify {budget}: at every threshold more of the {self.labels} labelled "
                "lookups were wrong than the budget leaves room for; use a better evaluator, or a "
                "judge that sees when two wordings of an answer are the same"
            )
        return f"cannot certify {budget} yet: about {self.needed} more labelled hits needed"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Raises ConfigError if this is not what `to_json` wrote."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"not a saved calibration: {error}") from error


def calibrate(
    scores: Sequence[float] | NDArray[np.float64],
    labels: Sequence[bool] | NDArray[np.bool_],
    max_false_hit_rate: float,
    confidence: float = 0.95,
    *,
    fill: float = FILL,
    test: _bounds.PValue = _bounds.in_the_long_run,
) -> Calibration:
    """The loosest threshold whose false-hit rate is certified to stay within the budget.

    `scores` and `labels`, shape (n,): of each labelled lookup the best candidate's score and
    whether its answer was right; from labelled pairs or from shadow traffic in which nothing was
    served. With probability `confidence`, no more than `max_false_hit_rate` of the hits are false
    in the long run, for traffic like that of the labels. What a user counts over few hits scatters
    around that; `test=in_the_next_hits` is about as many hits as were labelled instead, and
    certifies less. `fill` is the allowance for a cache that fills otherwise in service (FILL); 1
    for an index that never changes. Raises ConfigError.
    """
    rate = share("max_false_hit_rate", max_false_hit_rate, "For example 0.01.")
    level = 1.0 - share("confidence", confidence, "For example 0.95.")
    strict = rate / number("fill", fill, 1.0, 100.0)
    values, wrong = _ordered(scores, labels)
    each = level / len(STARTS)
    fewest = _bounds.clean_hits_needed(strict, each, test)
    sizes, shares = _family(values, fewest)
    false = [int(wrong[size - 1]) for size in sizes]
    p_values = [test(k, n, strict) for k, n in zip(false, sizes, strict=True)]
    passed = np.flatnonzero(_bounds.fallback(p_values, shares, level))
    potential = _potential(wrong, strict)
    if not passed.size:
        needed = _needed(false, sizes, strict, each, fewest)
        return Calibration(rate, confidence, len(values), potential=potential, needed=needed)
    last = int(passed[-1])
    hits, k = sizes[last], false[last]
    low, high = _bounds.wilson(hits, len(values))
    return Calibration(
        rate,
        confidence,
        len(values),
        threshold=float(values[hits - 1]),
        hits=hits,
        false_hits=k,
        bound=fill * _bounds.upper_bound(k, hits, confidence),
        hit_rate=hits / len(values),
        hit_rate_low=low,
        hit_rate_high=high,
        potential=max(potential, hits / len(values)),
    )


def _ordered(
    scores: Sequence[float] | NDArray[np.float64], labels: Sequence[bool] | NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores from high to low, and how many of the first n are wrong."""
    values, right = np.asarray(scores, dtype=float), np.asarray(labels)
    if values.ndim != 1 or values.shape != right.shape:
        raise ConfigError(
            f"scores of shape {values.shape} and labels of shape {right.shape}: "
            "give two flat sequences of one length"
        )
    if not np.isfinite(values).all():
        raise ConfigError("scores: all must be finite numbers")
    if not np.isin(right, (0, 1)).all():
        raise ConfigError("labels: give True or False (1 or 0) for each score")
    order = np.argsort(-values, kind="stable")
    return values[order], np.cumsum(right[order] == 0)


def _family(values: NDArray[np.float64], fewest: int) -> tuple[list[int], list[float]]:
    """The thresholds to test, as numbers of hits they admit, and their shares of the level.

    Chosen from the scores alone: the labels may not have a say in the order of the tests. Starts
    lie at the same numbers of tolerable false hits, whatever the budget, and with the same shares:
    so a larger budget passes wherever a smaller one does, and never gives a stricter threshold.
    """
    starts = [fewest * times for times in STARTS]
    sizes: list[int] = []
    shares: list[float] = []
    last, want = 0, fewest
    while want <= len(values):
        # Scores that are equal are served or not together.
        size = int(np.searchsorted(-values, -values[want - 1], side="right"))
        sizes.append(size)
        shares.append(sum(last < start <= size for start in starts) / len(starts))
        rung = int(RUNGS[np.searchsorted(RUNGS, size, side="right")])
        last, want = size, min(n for n in (*starts, rung) if n > size)
    return sizes, shares


def _potential(wrong: NDArray[np.int64], rate: float) -> float:
    """The largest share of the labels that could be served with no more than `rate` wrong."""
    count = len(wrong)
    kept = np.flatnonzero(wrong <= rate * np.arange(1, count + 1))
    return float(kept[-1] + 1) / count if kept.size else 0.0


def _needed(
    false: list[int], sizes: list[int], rate: float, level: float, fewest: int
) -> int | None:
    """How many more labelled hits the most promising threshold needs."""
    needs = [_bounds.hits_needed(rate, level, k / n) for k, n in zip(false, sizes, strict=True)]
    missing = [max(1, max(need, fewest) - n) for need, n in zip(needs, sizes, strict=True) if need]
    return min(missing, default=None) if sizes else fewest
