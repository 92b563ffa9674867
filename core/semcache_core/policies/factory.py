"""From the arguments of the facade to a policy."""

from __future__ import annotations

from collections.abc import Mapping

from semcache_core.errors import ConfigError
from semcache_core.policies._common import DEFAULT_FLOOR
from semcache_core.policies.calibrated import CalibratedPolicy
from semcache_core.policies.margin import MarginPolicy
from semcache_core.policies.threshold import ThresholdPolicy
from semcache_core.policies.verified import VerifiedPolicy
from semcache_core.protocols import Policy

NAMES = ("threshold", "margin", "calibrated", "verified")
_LEARNING = {"calibrated": CalibratedPolicy, "verified": VerifiedPolicy}


def make_policy(
    spec: str | Policy | None = None,
    *,
    threshold: float | None = None,
    max_false_hit_rate: float | None = None,
    confidence: float | None = None,
    default_threshold: float | None,
    floor: float = DEFAULT_FLOOR,
    by_namespace: Mapping[str, float] | None = None,
    seed: int | None = None,
) -> Policy:
    """The policy that the arguments ask for.

    `spec` is a policy object (then nothing else may be given), one of NAMES, or None: "verified"
    with a `max_false_hit_rate`, otherwise "threshold". `default_threshold` is the evaluator's own,
    for a user who names none (None: it has none); `floor` is for policies that do not learn. Those
    that do have a lower one, as labels tell better what is too far (CLINC150 at 5%: 39% hits, not
    31%). `confidence` defaults to 0.95. Raises ConfigError for arguments that contradict one
    another, naming both.
    """
    fixed: dict[str, object] = {"threshold": threshold, "by_namespace": by_namespace}
    budget: dict[str, object] = {
        "max_false_hit_rate": max_false_hit_rate,
        "confidence": confidence,
        "seed": seed,
    }
    if isinstance(spec, Policy):
        _alone("policy", spec, fixed | budget)
        return spec
    if spec is not None and spec not in NAMES:
        raise ConfigError(f"policy={spec!r}: give one of {', '.join(NAMES)}, or a policy object")
    if spec is None and max_false_hit_rate is not None:
        _alone("max_false_hit_rate", max_false_hit_rate, fixed)
        return _learning("verified", max_false_hit_rate, confidence, seed)
    if spec in _LEARNING:
        _alone("policy", spec, fixed)
        return _learning(spec, max_false_hit_rate, confidence, seed)
    _alone("policy", spec or "threshold", budget)
    if spec == "margin":
        _alone("policy", spec, {"by_namespace": by_namespace})
        return margin_policy(threshold, default_threshold, floor)
    limit = settled(threshold, default_threshold)
    return ThresholdPolicy(limit, floor, by_namespace or {})


def margin_policy(threshold: float | None, default: float | None, floor: float) -> MarginPolicy:
    """With a threshold on its own scale, or never looser than the evaluator's own threshold."""
    if threshold is not None:
        return MarginPolicy(threshold, floor)
    return MarginPolicy.beside(settled(None, default), floor)


def settled(threshold: float | None, default: float | None) -> float:
    """The threshold that was given, else the evaluator's own. Raises ConfigError without either."""
    found = default if threshold is None else threshold
    if found is None:
        raise ConfigError(
            "threshold: none was given, and this evaluator's scores have no recommended one; give"
            " threshold= (semcache evaluate shows what each would serve) or max_false_hit_rate="
        )
    return found


def _learning(
    name: str, budget: float | None, confidence: float | None, seed: int | None
) -> Policy:
    if budget is None:
        raise ConfigError(f"policy={name!r} needs max_false_hit_rate, for example 0.01")
    sure = 0.95 if confidence is None else confidence
    return _LEARNING[name](budget, sure, seed=seed or 0)


def _alone(name: str, value: object, others: Mapping[str, object]) -> None:
    """ConfigError if any of `others` was given beside `name`."""
    for other, given in others.items():
        if given is not None:
            raise ConfigError(
                f"{name}={value!r} and {other}={given!r} contradict one another: give one of them"
            )
