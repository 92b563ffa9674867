"""The static threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from semcache_core.models import Action, Decision, Query, Reason, Scored
from semcache_core.policies._common import DEFAULT_FLOOR, nothing, number, scaled, servable


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """Serve every candidate whose value is at least the threshold.

    `threshold` is in [0, 1], on `Scored.value`; `floor` in [0, 1], on the cosine similarity,
    holds whatever an evaluator says; `by_namespace` gives some tenants a threshold of their own.
    Raises ConfigError for anything outside [0, 1].
    """

    threshold: float
    floor: float = DEFAULT_FLOOR
    by_namespace: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number("threshold", self.threshold, 0.0, 1.0)
        number("floor", self.floor, 0.0, 1.0)
        for namespace, threshold in self.by_namespace.items():
            number(f"by_namespace[{namespace!r}]", threshold, 0.0, 1.0)
        # A copy, read only: a dict changed later must not change a policy that was checked.
        object.__setattr__(self, "by_namespace", MappingProxyType(dict(self.by_namespace)))

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        """`factor` scales the threshold, up to at most 1: above 1 is stricter."""
        usable = servable(scored, self.floor)
        if not usable:
            return nothing(scored, self.floor)
        chosen = tuple(s for s in usable if s.value >= self._limit(s, factor))
        best = (chosen or usable)[0]
        limit = self._limit(best, factor)
        text = f"value {best.value:.3f} ({best.score.by}) against the threshold {limit:.3f}"
        if not chosen:
            return Decision(Action.REFUSE, text, threshold=limit, why=Reason.BELOW)
        return Decision(Action.SERVE, text, chosen, limit, Reason.SEMANTIC)

    def _limit(self, scored: Scored, factor: float) -> float:
        own = self.by_namespace.get(scored.candidate.entry.namespace, self.threshold)
        return scaled(own, factor, 1.0)
