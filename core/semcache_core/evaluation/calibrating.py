"""From labelled questions, or a cache's own labels, to a certified policy in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from semcache_core.embedders import make_embedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation.examples import Examples
from semcache_core.evaluation.measuring import Tell, evaluate
from semcache_core.evaluators import RECOMMENDED_FLOOR, default_evaluator
from semcache_core.evaluators._base import identity
from semcache_core.evaluators._combinations import require_ranking
from semcache_core.learning import Label
from semcache_core.models import Action, Decision, Query, Reason, Scored
from semcache_core.policies import (
    WEIGHTS,
    Calibration,
    ThresholdPolicy,
    WeighedPolicy,
    calibrate_ranked,
    weights_from,
)
from semcache_core.policies.calibration import FILL
from semcache_core.protocols import Evaluator, Policy


@dataclass(frozen=True, slots=True)
class CertifiedThreshold:
    """A calibration, and whose scores it is about; `str` of it is a sentence."""

    calibration: Calibration
    scores_of: Mapping[str, str]
    """The evaluator's identity (guards, coefficients, parts) and the embedder's: for others it says
    nothing."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Empty: the threshold is one of the evaluator's score. Else of a probability, of which these
    are the weights (`policies.WeighedPolicy`)."""

    def __str__(self) -> str:
        if not self.weights or not self.calibration.certified:
            return str(self.calibration)
        terms = " ".join(f"{weight:+.2f} {name}" for name, weight in self.weights.items())
        return f"{self.calibration}; the threshold is one of 1 / (1 + exp(-z)), z = {terms}"

    def policy(self, floor: float = RECOMMENDED_FLOOR) -> Policy:
        """What serves by it: the same as `policy: {kind: saved}` makes of the file.

        Raises `ConfigError` if nothing is certified.
        """
        limit = self.calibration.threshold
        if limit is None:
            raise ConfigError(f"no policy: {self}")
        if not self.weights:
            return ThresholdPolicy(limit, floor)
        return WeighedPolicy(limit, weights_from(self.weights), floor)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        told: dict[str, Any] = json.loads(self.calibration.to_json())
        weights = {"weights": dict(self.weights)} if self.weights else {}
        return told | {"scores_of": dict(self.scores_of)} | weights

    def save(self, path: str | PathLike[str]) -> None:
        """Write what a configuration names: `policy: {kind: saved, file: policy.json}`.

        Raises `ConfigError` if nothing is certified, or the file cannot be written.
        """
        if not self.calibration.certified:
            raise ConfigError(f"nothing to save: {self}")
        try:
            text = json.dumps(self.to_dict(), indent=2) + "\n"
            Path(path).expanduser().write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def calibrate(
    source: Examples | Sequence[Label],
    max_false_hit_rate: float = 0.01,
    confidence: float = 0.95,
    *,
    embedder: Any = None,
    evaluator: Evaluator | None = None,
    floor: float = RECOMMENDED_FLOOR,
    top_k: int = 5,
    fill: float = FILL,
    tell: Tell | None = None,
) -> CertifiedThreshold:
    """What keeps a false-hit budget, with what certifies it: a threshold, perhaps with weights.

    `source`: labelled pairs or a stream (`read_examples`), which are embedded and scored here; or
    `cache.labels()` of a cache in shadow mode, which have their scores (while it serves, hits have
    no labels, and what is left is no sample). `embedder` and `evaluator` are those of the cache
    that will serve; without them its defaults. The labels are to be like the traffic; for the rest
    see `policies.calibrate`. Raises `ConfigError`; `EmbedderError`, `EvaluatorError` if a part
    fails.
    """
    made = make_embedder(embedder)
    judged = evaluator or default_evaluator(made)
    require_ranking(judged)
    labels = [one for one in source if isinstance(one, Label)]
    if labels and len(labels) != len(source):
        raise ConfigError("source: give examples or a cache's labels, not both")
    if labels:
        rows = [(one.similarity, one.score, one.correct) for one in labels]
    else:
        seen = _Recording(floor)
        examples: Any = source
        evaluate(examples, embedder=made, evaluator=judged, policy=seen, top_k=top_k, tell=tell)
        rows = seen.rows
    cosines, scores, right = zip(*rows, strict=True) if rows else ((), (), ())
    found = calibrate_ranked(cosines, scores, right, max_false_hit_rate, confidence, fill=fill)
    weights = dict(zip(WEIGHTS, found.weights, strict=False))
    whose = {"evaluator": identity(judged), "embedder": made.identity}
    return CertifiedThreshold(found.calibration, whose, weights)


@dataclass
class _Recording:
    """A policy that serves nothing; of each lookup's best candidate the cosine, score and label."""

    floor: float
    rows: list[tuple[float, float, bool]] = field(default_factory=list)

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        return Decision(Action.EXPLORE, "recorded", (scored[0],), why=Reason.EXPLORED)

    def observe(self, query: Query, scored: Scored, correct: bool) -> None:
        self.rows.append((scored.candidate.similarity, scored.value, correct))

    def state(self) -> str:
        return ""

    def restore(self, state: str) -> None:
        """Nothing is kept."""
