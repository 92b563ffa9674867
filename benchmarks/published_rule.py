"""vCache's published rule (arXiv 2502.03771), for comparison only, from its mathematics.

Per entry: observations (similarity, right), seeded with (0, wrong) and (1, right); a logistic
curve through them; a pessimistic view of its midpoint at 50 levels; and from these the smallest
probability of asking the model that keeps errors per request under `delta`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from semcache_core.models import Action, Decision, Query, Scored

LEVELS = np.linspace(0.01, 0.99, 50)
QUANTILES = np.array([NormalDist().inv_cdf(1.0 - level) for level in LEVELS])


@dataclass
class PublishedRule:
    """Errors per REQUEST are bounded by `delta`; the false-hit rate is not."""

    delta: float
    seed: int = 0
    floor: float = -1.0
    observations: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        if not scored:
            return Decision(Action.REFUSE, "empty")
        best = scored[0]
        seen = self._of(best)
        explore = 1.0 if len(seen) < 6 else exploring(seen, best.value, self.delta)
        action = Action.EXPLORE if self._random.random() <= explore else Action.SERVE
        return Decision(action, f"explores with probability {explore:.3f}", (best,))

    def observe(self, query: Query, scored: Scored, correct: bool) -> None:
        self._of(scored).append((scored.value, correct))

    def state(self) -> str:
        return ""

    def restore(self, state: str) -> None:
        """Nothing is kept."""

    def _of(self, scored: Scored) -> list[tuple[float, bool]]:
        key = scored.candidate.entry.key
        return self.observations.setdefault(key, [(0.0, False), (1.0, True)])


def exploring(seen: Sequence[tuple[float, bool]], similarity: float, delta: float) -> float:
    """The probability of asking the model."""
    gamma, middle, variance = fitted(seen)
    pessimistic = np.clip(middle + QUANTILES * math.sqrt(variance), 0.0, 1.0)
    exponents = np.clip(gamma * (similarity - pessimistic), -500, 500)
    right = (1.0 - LEVELS) / (1.0 + np.exp(-exponents))
    return float(np.min(1.0 - delta / (1.0 - np.minimum(right, 1.0 - 1e-12))))


def fitted(seen: Sequence[tuple[float, bool]]) -> tuple[float, float, float]:
    """Slope, midpoint and the midpoint's variance of the logistic curve of largest likelihood."""
    s = np.array([value for value, _ in seen])
    c = np.array([right for _, right in seen], float)
    x = np.stack([np.ones_like(s), s], axis=1)
    b = np.zeros(2)
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ b, -30, 30)))
        weights = p * (1.0 - p) + 1e-9
        b = b + np.linalg.solve((x.T * weights) @ x + 1e-8 * np.eye(2), x.T @ (c - p))
        b = np.clip(b, -500, 500)
    gamma = max(float(b[1]), 1e-6)
    middle = float(np.clip(-b[0] / gamma, 0.0, 1.0))
    if s[c == 0].max() < s[c == 1].min():
        return gamma, middle, 0.21 / len(s)
    p = 1.0 / (1.0 + np.exp(-np.clip(x @ b, -30, 30)))
    gradient = np.array([-1.0 / gamma, b[0] / gamma**2])
    information = (x.T * (p * (1.0 - p))) @ x + 1e-9 * np.eye(2)
    return gamma, middle, float(gradient @ np.linalg.solve(information, gradient))
