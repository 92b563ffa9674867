"""Combinations that could not do what they look like are refused when they are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.protocols import Evaluator

FIRST = "guarded(Guards(), Cosine())"
"""How messages show where an evaluator goes that can only reject."""


def rejects_only(evaluator: Evaluator) -> bool:
    """Whether a high score of it is no reason to serve; foreign evaluators are taken to rank."""
    return isinstance(evaluator, BaseEvaluator) and evaluator.rejects_only


def require_ranking(evaluator: Evaluator) -> None:
    """Raise `ConfigError` for an evaluator that leaves a cache to serve all it does not reject."""
    if rejects_only(evaluator):
        raise ConfigError(
            f"evaluator: {evaluator.name} can only reject, so that nothing says how well an answer"
            f" fits, and all that it lets pass would be served; put it before an evaluator that"
            f" compares the questions, as in {FIRST}"
        )


def require_parts(name: str, evaluators: Sequence[Evaluator]) -> None:
    """Raise `ConfigError` for no parts, or for something that is no evaluator."""
    if not evaluators:
        raise ConfigError(f"{name}: no evaluators given; it needs at least one")
    for evaluator in evaluators:
        if isinstance(evaluator, type):
            raise ConfigError(f"{name}: {evaluator!r} is a class; give an object, as in Cosine()")
        if not isinstance(evaluator, Evaluator):
            raise ConfigError(f"{name}: {evaluator!r} is not an evaluator")


def require_one_set_of_guards(name: str, evaluators: Sequence[Evaluator]) -> None:
    """Raise `IncompatibleError` if guards come twice on one way to a hit, however deep they are."""
    if sum(map(_sets_of_guards, evaluators)) > 1:
        raise IncompatibleError(
            f"{name}: more than one set of guards; name all guards in one, as a tuple"
        )


def _sets_of_guards(evaluator: Evaluator) -> int:
    if evaluator.name == "guards":
        return 1
    inside = [_sets_of_guards(part) for part in _parts(evaluator)]
    # Of alternatives each may have guards of its own, since only one of them has to pass.
    return max(inside, default=0) if evaluator.name == "any_of" else sum(inside)


def require_alternatives(evaluators: Sequence[Evaluator]) -> None:
    """Raise `IncompatibleError` for a maximum that whatever is not rejected would reach."""
    passing = [one for one in evaluators if rejects_only(one)]
    if passing and len(passing) < len(evaluators):
        raise IncompatibleError(
            f"any_of: {passing[0].name} can only reject, and gives 1 to all that it lets pass, so"
            f" that the others would have no say; use all_of, or put it first, as in {FIRST}"
        )


def require_say(evaluators: Sequence[Evaluator], weights: Sequence[float]) -> None:
    """Raise `IncompatibleError` if evaluators that compare hold no more than half the weight."""
    total = sum(weights)
    silent = sum(w for one, w in zip(evaluators, weights, strict=True) if rejects_only(one))
    if total / 2 <= silent < total:
        raise IncompatibleError(
            f"weights={tuple(weights)!r}: those that can only reject hold half of them or more, so"
            " that a wrong answer would score high; give them less, or 0"
        )


def require_guards_first(guards: Evaluator, evaluator: Evaluator) -> None:
    """Raise `IncompatibleError` for arguments that were swapped."""
    if rejects_only(evaluator) and not rejects_only(guards):
        raise IncompatibleError(
            f"guarded: {evaluator.name} can only reject and stands behind {guards.name}, whose"
            f" scores would be lost; guards come first, as in {FIRST}"
        )


def require_stages(stages: Sequence[Evaluator]) -> None:
    """Raise `IncompatibleError` for a cascade that ends in, or skips, what can only reject."""
    if rejects_only(stages[-1]):
        raise IncompatibleError(
            f"cascade: the last stage ({stages[-1].name}) can only reject, so that nothing says how"
            " well what it lets pass fits; put it first"
        )
    sure = next(at for at, one in enumerate(stages) if not rejects_only(one))
    for at, stage in enumerate(stages[sure + 1 :], sure + 2):
        skipped = next((one for one in _all(stage) if rejects_only(one)), None)
        if skipped is not None:
            raise IncompatibleError(
                f"cascade: stage {at} holds {skipped.name}, which is skipped wherever stage"
                f" {sure + 1} ({stages[sure].name}) is sure; put it in front of the cascade, as in"
                " guarded(Guards(), cascade(...))"
            )


def _all(evaluator: Evaluator) -> Iterator[Evaluator]:
    yield evaluator
    for part in _parts(evaluator):
        yield from _all(part)


def _parts(evaluator: Evaluator) -> tuple[Evaluator, ...]:
    return evaluator.parts if isinstance(evaluator, BaseEvaluator) else ()
