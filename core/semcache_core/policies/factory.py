"""From the arguments of the facade to a policy."""

from __future__ import annotations

from collections.abc import Mapping

from semcache_core.errors import ConfigError
from semcache_core.policies._common import DEFAULT_FLOOR
from semcache_core.policies.margin import MarginPolicy
from semcache_core.policies.threshold import ThresholdPolicy
from semcache_core.protocols import Policy

NAMES = ("threshold", "margin")


def make_policy(
    spec: str | Policy | None = None,
    *,
    threshold: float | None = None,
    default_threshold: float,
    floor: float = DEFAULT_FLOOR,
    by_namespace: Mapping[str, float] | None = None,
) -> Policy:
    """The policy that the arguments ask for.

    `spec` is a policy (then nothing else may be given), one of NAMES, or None: a static
    threshold. `default_threshold` is the embedder's own, used when the user names none. Raises
    ConfigError for arguments that contradict one another, naming both.
    """
    if isinstance(spec, Policy):
        _alone("policy", spec, threshold=threshold, by_namespace=by_namespace)
        return spec
    if spec in (None, "threshold"):
        limit = default_threshold if threshold is None else threshold
        return ThresholdPolicy(limit, floor, by_namespace or {})
    if spec == "margin":
        _alone("policy", spec, by_namespace=by_namespace)
        return MarginPolicy(default_threshold if threshold is None else threshold, floor)
    raise ConfigError(f"policy={spec!r}: give one of {', '.join(NAMES)}, or a policy object")


def _alone(name: str, value: object, **others: object) -> None:
    """ConfigError if any of `others` was given beside `name`."""
    for other, given in others.items():
        if given is not None:
            raise ConfigError(
                f"{name}={value!r} and {other}={given!r} contradict one another: give one of them"
            )
