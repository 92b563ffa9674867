"""Policies by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from semcache_core import policies
from semcache_core.config._part import Building, Strict, by_name
from semcache_core.config._values import Fill, Integer, Share, Text, Unit
from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.policies.factory import margin_policy, settled
from semcache_core.protocols import Policy


class Threshold(Strict):
    """A static threshold on the evaluator's score."""

    kind: Literal["threshold"]
    threshold: Unit | None = None
    floor: Unit | None = None
    by_namespace: Mapping[str, Unit] | None = None

    def build(self, building: Building) -> Policy:
        limit = settled(self.threshold, building.threshold)
        floor = building.floor if self.floor is None else self.floor
        return policies.ThresholdPolicy(limit, floor, self.by_namespace or {})


class Margin(Strict):
    """A static threshold on how far the best answer is ahead of a different one."""

    kind: Literal["margin"]
    threshold: Unit | None = None
    floor: Unit | None = None

    def build(self, building: Building) -> Policy:
        floor = building.floor if self.floor is None else self.floor
        return margin_policy(self.threshold, building.threshold, floor)


class _Budget(Strict):
    max_false_hit_rate: Share
    confidence: Share = 0.95
    floor: Unit | None = None
    audit_rate: Share | None = None
    label_misses: Unit | None = None
    fill: Fill | None = None
    seed: Integer = 0

    def arguments(self) -> dict[str, Any]:
        return {name: value for name, value in self.given().items() if value is not None}


class Calibrated(_Budget):
    """Serves above a certified threshold only; learns it from live labels."""

    kind: Literal["calibrated"]

    def build(self, building: Building) -> Policy:
        return policies.CalibratedPolicy(**self.arguments())


class Verified(_Budget):
    """As "calibrated", learning for each stored answer as well."""

    kind: Literal["verified"]

    def build(self, building: Building) -> Policy:
        return policies.VerifiedPolicy(**self.arguments())


class Saved(Strict):
    """The threshold that `semcache calibrate` certified and saved."""

    kind: Literal["saved"]
    file: Text
    floor: Unit | None = None

    def build(self, building: Building) -> Policy:
        name = building.path(self.file)
        saved, scores_of, weights = _read(name)
        _check(name, scores_of, building)
        floor = building.floor if self.floor is None else self.floor
        if saved.threshold is None:
            raise ConfigError(f"policy.file: {name!r} says: {saved}")
        if not weights:
            return policies.ThresholdPolicy(saved.threshold, floor)
        return policies.WeighedPolicy(saved.threshold, weights, floor)


def _read(name: str) -> tuple[policies.Calibration, dict[str, str], tuple[float, ...]]:
    """The calibration in a file, whose scores it is about, and the weights of the ranking."""
    try:
        found = json.loads(Path(name).read_text("utf-8"))
        scores_of = dict(found.pop("scores_of", {}))
        weights = policies.weights_from(found.pop("weights", {}))
        return policies.Calibration.from_json(json.dumps(found)), scores_of, weights
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"policy.file: {name!r} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    except (ConfigError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"policy.file: {name!r} holds no calibration: {error}") from error


def _check(name: str, scores_of: dict[str, str], building: Building) -> None:
    """A threshold says nothing of another evaluator's scores, or another embedder's."""
    ours = {"evaluator": building.evaluator}
    if "embedder" in scores_of:
        ours["embedder"] = building.embedder().identity
    for part, theirs in scores_of.items():
        if ours.get(part) not in (None, theirs):
            raise IncompatibleError(
                f"policy.file: {name!r} is about the {part} {theirs!r}, and here it is "
                f"{ours[part]!r}: calibrate anew"
            )


KINDS = (Threshold, Margin, Calibrated, Verified, Saved)
_Kinds = Annotated[Threshold | Margin | Calibrated | Verified | Saved, Field(discriminator="kind")]
_Names = Literal["threshold", "margin", "calibrated", "verified"]


def _named(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """A name alone stays one: the settings beside it (threshold, budget) are the policy's then."""
    return value if value in get_args(_Names) else handler(by_name(value))


PolicyPart = Annotated[_Kinds, WrapValidator(_named, json_schema_input_type=_Names | _Kinds)]
