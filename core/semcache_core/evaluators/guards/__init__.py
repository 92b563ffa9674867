"""Guards: evaluators that can only reject, each with a reason in plain words.

One file finds one kind of difference between a question and a stored one. They know English best;
in other languages they see numbers, identifiers, scripts and some negation, and let the rest pass.
Measured by `benchmarks/quality.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from semcache_core.errors import ConfigError
from semcache_core.evaluators._base import BaseEvaluator
from semcache_core.evaluators.guards import (
    additions,
    antonyms,
    bounds,
    comparisons,
    constraints,
    dates,
    identifiers,
    kinds,
    language,
    names,
    negation,
    numbers,
    orders,
    owners,
    places,
    prepositions,
    quantifiers,
    questions,
    quotes,
    rhythm,
    roles,
    substitution,
)
from semcache_core.evaluators.guards._pair import Pair, pair_of
from semcache_core.models import Candidate, Query, Score

Finder = Callable[[Pair], str]
"""Returns the reason to reject, or ""."""

FINDERS: Mapping[str, Finder] = MappingProxyType(
    {
        "language": language.differ,
        "numbers": numbers.differ,
        "dates": dates.differ,
        "rhythm": rhythm.differ,
        "bounds": bounds.differ,
        "quotes": quotes.differ,
        "quantifiers": quantifiers.differ,
        "identifiers": identifiers.differ,
        "negation": negation.differ,
        "antonyms": antonyms.differ,
        "kinds": kinds.differ,
        "names": names.differ,
        "roles": roles.differ,
        "places": places.differ,
        "comparisons": comparisons.differ,
        "prepositions": prepositions.differ,
        "owners": owners.differ,
        "questions": questions.differ,
        "orders": orders.differ,
        "substitution": substitution.differ,
        "constraints": constraints.differ,
        "additions": additions.differ,
    }
)
_SOFT = frozenset({"orders", "names", "substitution", "constraints", "additions"})
PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "off": (),
        "core": tuple(name for name in FINDERS if name not in _SOFT),
        "safe": tuple(name for name in FINDERS if name != "additions"),
        "strict": tuple(FINDERS),
    }
)
"""core: what no score can make good. safe: what guards need that stand alone.
strict: also any word that is added to or left out of a question, which costs paraphrases."""


def findings(query: str, stored: str) -> dict[str, str]:
    """Every guard's reason to reject the pair, by guard; empty for a pair without differences."""
    pair = pair_of(query, stored)
    found = ((name, find(pair)) for name, find in FINDERS.items())
    return {name: reason for name, reason in found if reason}


class Guards(BaseEvaluator):
    """Rejects candidates whose question differs from the query in a way that changes the answer.

    `guards` is a preset ("off", "core", "safe", "strict") or a tuple of names (see `FINDERS`).
    Scores are 1.0, or 0.0 and rejected. A candidate without a question is left alone.
    """

    blocking = False
    rejects_only = True

    def __init__(self, guards: str | Sequence[str] = "safe") -> None:
        """Raise `ConfigError` for an unknown preset or guard."""
        self.guards = _chosen(guards)
        self._finders = tuple(FINDERS[name] for name in self.guards)
        self._passed = Score(1.0, self.name)

    @property
    def name(self) -> str:
        return "guards"

    @property
    def identity(self) -> str:
        return f"guards({', '.join(self.guards)})"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        return [self._one(query.text, candidate.entry.query) for candidate in candidates]

    def _one(self, query: str, stored: str | None) -> Score:
        return self.of_pair(pair_of(query, stored)) if stored else self._passed

    def of_pair(self, pair: Pair) -> Score:
        """The score of a pair that was compared already."""
        reason = self._reason(pair) if pair.b.raw else ""
        return Score(0.0, self.name, reason, rejected=True) if reason else self._passed

    def reason(self, query: str, stored: str) -> str:
        """Why the pair is rejected, in plain words; "" if it is not."""
        return self._reason(pair_of(query, stored))

    def _reason(self, pair: Pair) -> str:
        for find in self._finders:
            if reason := find(pair):
                return reason
        return ""


def _chosen(guards: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(guards, str):
        if guards not in PRESETS:
            raise ConfigError(
                f"guards={guards!r}: use one of the presets {', '.join(map(repr, PRESETS))},"
                f" or a tuple of names out of {', '.join(FINDERS)}"
            )
        return PRESETS[guards]
    if not isinstance(guards, Iterable) or not all(isinstance(name, str) for name in guards):
        raise ConfigError(
            f"guards={guards!r}: give a preset ({', '.join(PRESETS)}) or a tuple of names"
        )
    unknown = [name for name in guards if name not in FINDERS]
    if unknown:
        raise ConfigError(
            f"guards: no guard is called {', '.join(map(repr, unknown))};"
            f" there are {', '.join(FINDERS)}"
        )
    return tuple(dict.fromkeys(guards))
