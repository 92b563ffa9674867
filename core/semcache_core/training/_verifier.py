"""Fit the verifier's coefficients to labelled pairs, starting from the shipped ones. Pure numpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcache_core.errors import ConfigError
from semcache_core.evaluation import Pair
from semcache_core.evaluators import Guards
from semcache_core.evaluators.guards._pair import pair_of
from semcache_core.evaluators.verifier import load
from semcache_core.evaluators.verifier._features import SIGNS, features
from semcache_core.protocols import Embedder

Array = NDArray[np.float64]
RIDGE = 10.0
"""Pairs' worth of belief in the shipped coefficients."""
_STEPS = 2_000


def fit_verifier(pairs: Sequence[Pair], path: Path, embedder: Embedder) -> None:
    """Write the file of coefficients. Raises `ConfigError` if the guards leave one label only."""
    x, y = _examples(pairs, embedder)
    if not 0 < y.sum() < len(y):
        raise ConfigError("pairs: past the guards only pairs of one label are left to learn from")
    shipped = load()
    start = np.array([shipped.intercept, *shipped.weights])
    found = fit(x, y, start, np.array([0, *SIGNS.values()]))
    path.write_text(json.dumps(_model(found, len(y)), indent=2) + "\n", encoding="utf-8")


def _examples(pairs: Sequence[Pair], embedder: Embedder) -> tuple[Array, Array]:
    guards = Guards("core")
    kept = [one for one in pairs if not guards.reason(one.query, one.stored)]
    fitting = [one for one in kept if embedder.fits(one.query) and embedder.fits(one.stored)]
    if not fitting:
        return np.empty((0, len(SIGNS))), np.empty(0)
    left = embedder.embed([one.query for one in fitting])
    right = embedder.embed([one.stored for one in fitting])
    cosines = np.einsum("ij,ij->i", left, right)
    rows = [
        features(float(cosine), pair_of(one.query, one.stored))
        for one, cosine in zip(fitting, cosines, strict=True)
    ]
    return np.array(rows, float), np.array([one.same for one in fitting], float)


def fit(x: Array, y: Array, start: Array, signs: NDArray[Any], ridge: float = RIDGE) -> Array:
    """Weights, the intercept first, of the most probable logistic model near `start`.

    Minimises the log loss, both classes weighing the same, plus ridge / 2 times the squared
    distance from `start` in units of each feature's spread; a weight keeps the side that `signs`
    names. Projected gradient descent with a step of one over the curvature (Beck 2017, "First-order
    methods in optimization", section 10.2).
    """
    spread = np.concatenate([[1.0], x.std(axis=0) + 1e-3])
    rows = np.column_stack([np.ones(len(x)), x]) / spread
    weight = len(y) * np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    centre, found = start * spread, start * spread
    curvature = np.linalg.norm(rows * np.sqrt(weight)[:, None], 2) ** 2 / 4 + ridge
    for _ in range(_STEPS):
        wrong = weight * (1 / (1 + np.exp(-np.clip(rows @ found, -30, 30))) - y)
        found = found - (rows.T @ wrong + ridge * (found - centre)) / curvature
        found = np.where(found * signs < 0, 0.0, found)
    kept: Array = found / spread
    return kept


def _model(found: Array, count: int) -> dict[str, Any]:
    return {
        "about": "Made by semcache train; P = 1 / (1 + exp(-(intercept + w . x)))",
        "trained on": {"pairs": count},
        "intercept": round(float(found[0]), 4),
        "weights": {n: round(float(w), 4) for n, w in zip(SIGNS, found[1:], strict=True)},
    }
