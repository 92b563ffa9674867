"""The verifier: how likely a stored answer serves the query, from the cosine and the words.

A logistic model of nine features, in a readable file of coefficients that
`benchmarks/train_verifier.py` makes; no library is needed to run it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from semcache_core.errors import ConfigError
from semcache_core.evaluators._base import BaseEvaluator, unit
from semcache_core.evaluators.guards._pair import Pair, pair_of
from semcache_core.evaluators.verifier._features import SIGNS, features
from semcache_core.keys import digest
from semcache_core.models import Candidate, Query, Score


class Coefficients(NamedTuple):
    """A logistic model: P = 1 / (1 + exp(-(intercept + sum of weight * feature)))."""

    intercept: float
    weights: tuple[float, ...]


def load(path: str | Path | None = None) -> Coefficients:
    """The coefficients in a JSON file; without a path the ones of this package.

    Raises `ConfigError` if the file does not hold one finite number for each feature.
    """
    source = Path(path) if path else files(__package__).joinpath("coefficients.json")
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
        weights = tuple(float(data["weights"][name]) for name in SIGNS)
        found = Coefficients(float(data["intercept"]), weights)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"coefficients={str(source)!r}: {error!r}; see load()") from error
    if not all(map(math.isfinite, (found.intercept, *found.weights))):
        raise ConfigError(f"coefficients={str(source)!r}: every number has to be finite")
    return found


class Verifier(BaseEvaluator):
    """The probability, at even odds, that a candidate's answer serves the query.

    "At even odds": trained on as many pairs that match as pairs that do not. `coefficients` is
    the path of a file of one's own (see `benchmarks/train_verifier.py`).
    """

    blocking = False
    recommended_threshold = 0.65  # `RECOMMENDED_THRESHOLD`

    def __init__(self, coefficients: str | Path | None = None) -> None:
        """Raise `ConfigError` for a file that cannot be read."""
        self._model = load(coefficients)

    @property
    def name(self) -> str:
        return "verifier"

    @property
    def identity(self) -> str:
        return f"verifier({digest(self._model)[:16]})"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        return [self._one(query.text, candidate) for candidate in candidates]

    def _one(self, query: str, candidate: Candidate) -> Score:
        return Score(
            self.probability(query, candidate.entry.query or "", candidate.similarity), self.name
        )

    def probability(self, query: str, stored: str, cosine: float) -> float:
        """P for a pair of texts whose embeddings have this cosine similarity."""
        return self.of_pair(pair_of(query, stored), cosine)

    def of_pair(self, pair: Pair, cosine: float) -> float:
        """`probability`, for a pair that was compared already."""
        values = features(unit(cosine), pair)
        z = self._model.intercept + sum(map(float.__mul__, self._model.weights, values))
        return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, z))))
