"""What every policy shares: checked arguments, the candidates it may serve, and refusals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from semcache_core.errors import ConfigError
from semcache_core.models import Action, Decision, Reason, Scored

DEFAULT_FLOOR = 0.5
"""Cosine below which nobody's paraphrases lie; saves scoring, never makes a hit."""


def number(name: str, value: float, low: float, high: float, hint: str = "") -> float:
    """`value` as a float if it is a finite number in [low, high]; else ConfigError."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or not low <= value <= high:
        advice = f" {hint}" if hint else ""
        raise ConfigError(f"{name}={value!r}: give a number from {low:g} to {high:g}.{advice}")
    return float(value)


def share(name: str, value: float, hint: str = "") -> float:
    """`value` if it lies strictly between 0 and 1; else ConfigError."""
    if number(name, value, 0.0, 1.0, hint) in (0.0, 1.0):
        raise ConfigError(f"{name}={value!r}: must lie strictly between 0 and 1. {hint}".rstrip())
    return float(value)


def scaled(threshold: float, factor: float, top: float) -> float:
    """A call's threshold: times its factor, at most `top`. ConfigError for a factor below 0."""
    return min(top, threshold * number("factor", factor, 0.0, 1000.0, "1 changes nothing."))


def servable(scored: Sequence[Scored], floor: float) -> tuple[Scored, ...]:
    """The candidates a policy may serve at all, best first.

    Protocols promise an order and no rejected candidate; serving a wrong answer is too dear to
    rely on that, so it is made true here (a NaN score compares false and drops out).
    """
    kept = [
        s
        for s in scored
        if not s.score.rejected and s.candidate.similarity >= floor and s.value >= 0.0
    ]
    return tuple(sorted(kept, key=lambda s: -s.value))


def nothing(scored: Sequence[Scored], floor: float) -> Decision:
    """The refusal when no candidate may be served."""
    if not scored:
        return Decision(Action.REFUSE, "no candidate", why=Reason.EMPTY)
    for s in scored:
        if s.score.rejected:
            text = f"rejected by {s.score.by}: {s.score.reason}"
            return Decision(Action.REFUSE, text, why=Reason.REJECTED)
    best = max(s.candidate.similarity for s in scored)
    text = f"best similarity {best:.3f} is below the floor {floor:.3f}"
    return Decision(Action.REFUSE, text, threshold=floor, why=Reason.BELOW)
