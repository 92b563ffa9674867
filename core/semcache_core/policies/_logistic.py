"""Logistic regression, one label at a time, in a state of a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semcache_core.errors import ConfigError


class Logistic:
    """P(right | features) = sigmoid(weights . (1, features)), learnt by an extended Kalman filter.

    Each label updates mean and covariance of the weights under the Gaussian (Laplace)
    approximation of the posterior: online Newton steps, so the order of the labels hardly
    matters and nothing is kept but these numbers. (Haykin, Kalman Filtering, 2001, chapter 2.)
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        self.mean: NDArray[np.float64] = np.asarray(mean, dtype=float)
        self.covariance: NDArray[np.float64] = np.diag(np.square(np.asarray(deviation, float)))

    def probability(self, features: ArrayLike) -> float:
        """P(right) at the mean of the weights, in (0, 1)."""
        return probability(self.mean, features)

    def learn(self, features: ArrayLike, right: bool) -> None:
        """Take in one label."""
        x = _row(features)
        p = self.probability(features)
        spread = self.covariance @ x
        weight = max(p * (1.0 - p), 1e-6)
        self.covariance -= np.outer(spread, spread) * (weight / (1.0 + weight * float(x @ spread)))
        self.mean = self.mean + self.covariance @ x * (float(right) - p)

    def dump(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "covariance": self.covariance.tolist()}

    def load(self, saved: Any) -> None:
        """Raises ConfigError, and changes nothing, if this is not what `dump` gave."""
        try:
            mean = np.asarray(saved["mean"], dtype=float)
            covariance = np.asarray(saved["covariance"], dtype=float)
            if mean.shape != self.mean.shape or covariance.shape != self.covariance.shape:
                raise ValueError(f"{mean.shape} weights instead of {self.mean.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a saved logistic regression: {error!r}") from error
        self.mean, self.covariance = mean, covariance


def probability(weights: ArrayLike, features: ArrayLike) -> float:
    """sigmoid(weights . (1, features)), in (0, 1)."""
    z = float(np.asarray(weights, dtype=float) @ _row(features))
    return 1.0 / (1.0 + math.exp(-min(30.0, max(-30.0, z))))


def _row(features: ArrayLike) -> NDArray[np.float64]:
    return np.concatenate(([1.0], np.asarray(features, dtype=float)))
