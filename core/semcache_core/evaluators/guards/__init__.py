"""Guards: evaluators that can only reject, each with a reason in plain words.

One file finds one kind of difference between a question and a stored one. They know English best;
in other languages they see numbers, identifiers, scripts and some negation, and let the rest pass.
Measured by `benchmarks/quality.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache, partial
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
from semcache_core.evaluators.guards._guard import Guard
from semcache_core.evaluators.guards._pair import Pair, pair_of
from semcache_core.evaluators.guards._text import Text, noted
from semcache_core.models import Candidate, Query, Score

FINDERS: Mapping[str, Guard] = MappingProxyType(
    {
        "language": Guard(language.differ, language.touched),
        "numbers": Guard(numbers.differ, numbers.touched),
        "dates": Guard(dates.differ, dates.touched),
        "rhythm": Guard(rhythm.differ, rhythm.touched, rhythm.WORDS, both=True),
        "bounds": Guard(bounds.differ, bounds.touched, bounds.WORDS, both=True),
        "quotes": Guard(quotes.differ, quotes.touched, both=True),
        "quantifiers": Guard(quantifiers.differ, quantifiers.touched, quantifiers.WORDS),
        "identifiers": Guard(identifiers.differ, identifiers.touched),
        "negation": Guard(negation.differ, negation.touched),
        "antonyms": Guard(antonyms.differ, antonyms.touched),
        "kinds": Guard(kinds.differ, kinds.touched, both=True),
        "names": Guard(names.differ, names.touched, both=True),
        "roles": Guard(roles.differ, roles.touched, roles.WORDS, reorders=True),
        "places": Guard(places.differ, places.touched, places.WORDS, reorders=True),
        "comparisons": Guard(comparisons.differ, comparisons.touched, comparisons.WORDS),
        "prepositions": Guard(
            prepositions.differ, prepositions.touched, prepositions.WORDS, both=True
        ),
        "owners": Guard(owners.differ, owners.touched, owners.WORDS),
        "questions": Guard(questions.differ),
        "orders": Guard(orders.differ),
        "substitution": Guard(substitution.differ),
        "constraints": Guard(constraints.differ),
        "additions": Guard(additions.differ),
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
    found = ((name, guard.differ(pair)) for name, guard in FINDERS.items())
    return {name: reason for name, reason in found if reason}


@noted
def _marks(text: Text) -> int:
    """The bits, by place in `FINDERS`, of the guards that the text touches."""
    hints, hinted = _hints(), 0
    for word in text.said:
        hinted |= hints.get(word, 0)
    return sum([bit for bit, touched in _candidates(hinted) if touched(text)])


@cache
def _hints() -> dict[str, int]:
    """The words that guards name, each with their bits."""
    found: dict[str, int] = {}
    for place, guard in enumerate(FINDERS.values()):
        for word in guard.words:
            found[word] = found.get(word, 0) | 1 << place
    return found


@lru_cache(maxsize=4_096)
def _candidates(hinted: int) -> tuple[tuple[int, Callable[[Text], bool]], ...]:
    """Who has to look at a text that says words of these guards, each with its bit."""
    guards = ((1 << place, guard) for place, guard in enumerate(FINDERS.values()))
    return tuple(
        (bit, guard.touched)
        for bit, guard in guards
        if guard.touched and (hinted & bit or not guard.words)
    )


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
        self._concerned = lru_cache(maxsize=4_096)(partial(_concerned, self.guards))
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
        a, b = _marks(pair.a), _marks(pair.b)
        same = not (pair.diff_a or pair.diff_b)
        for differ in self._concerned(a | b, a & b, same):
            if reason := differ(pair):
                return reason
        return ""


def _concerned(
    names: Sequence[str], either: int, both: int, same: bool
) -> tuple[Callable[[Pair], str], ...]:
    """What of these guards is to be shown a pair whose texts have these marks, in order."""
    places = {name: place for place, name in enumerate(FINDERS)}
    return tuple(
        FINDERS[name].differ
        for name in names
        if FINDERS[name].concerns(1 << places[name], either, both, same=same)
    )


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
