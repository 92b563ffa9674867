"""Okapi BM25 between questions: shared words count, and rare ones count more."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from threading import Lock

from semcache_core.errors import ConfigError
from semcache_core.evaluators._base import BaseEvaluator, described, is_number, unit
from semcache_core.evaluators.guards._text import analyse
from semcache_core.models import Candidate, Query, Score


class BM25(BaseEvaluator):
    """BM25 of the stored question for the query, divided by that of the query for itself.

    Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", section 3.5, with
    idf = ln(1 + (N - n + 0.5) / (n + 0.5)). The statistics are those of the `remembered` entries
    seen last. Own code because the libraries index a fixed corpus, and here it grows with every
    lookup.
    """

    blocking = False

    def __init__(self, *, k1: float = 1.2, b: float = 0.75, remembered: int = 10_000) -> None:
        """Raise `ConfigError` unless k1 >= 0, 0 <= b <= 1 and remembered >= 1."""
        if not is_number(k1) or k1 < 0:
            raise ConfigError(f"k1={k1!r}: give a number of at least 0")
        if not is_number(b) or not 0 <= b <= 1:
            raise ConfigError(f"b={b!r}: give a number from 0 to 1")
        if not isinstance(remembered, int) or isinstance(remembered, bool) or remembered < 1:
            raise ConfigError(f"remembered={remembered!r}: give a whole number of at least 1")
        self._k1, self._b, self._remembered = k1, b, remembered
        self._seen: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._holding: Counter[str] = Counter()
        self._words = 0
        self._lock = Lock()

    @property
    def name(self) -> str:
        return "bm25"

    @property
    def identity(self) -> str:
        return described(self.name, self._k1, self._b, self._remembered)

    def observe(self, questions: Sequence[str]) -> None:
        """Count stored questions, each once."""
        with self._lock:
            for question in questions:
                self._add(question)

    def _add(self, question: str) -> None:
        if question in self._seen:
            self._seen.move_to_end(question)
            return
        words = _words(question)
        self._seen[question] = words
        self._holding.update(set(words))
        self._words += len(words)
        if len(self._seen) > self._remembered:
            _, gone = self._seen.popitem(last=False)
            self._holding.subtract(set(gone))
            self._words -= len(gone)

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        questions = [one.entry.query or "" for one in candidates]
        self.observe([question for question in questions if question])
        wanted = _words(query.text)
        with self._lock:
            best = self._bm25(wanted, wanted)
            found = [self._bm25(wanted, _words(question)) for question in questions]
        return [Score(unit(value / best) if best else 0.0, self.name) for value in found]

    def _bm25(self, wanted: tuple[str, ...], document: tuple[str, ...]) -> float:
        count = Counter(document)
        mean = self._words / len(self._seen) if self._words else 1.0
        norm = self._k1 * (1 - self._b + self._b * len(document) / mean)
        return sum(
            self._idf(word) * count[word] * (self._k1 + 1) / (count[word] + norm)
            for word in set(wanted)
            if count[word]
        )

    def _idf(self, word: str) -> float:
        n = self._holding[word]
        return math.log(1 + (len(self._seen) - n + 0.5) / (n + 0.5))


def _words(text: str) -> tuple[str, ...]:
    found = analyse(text)
    return (*(word.stem for word in found.words), *(q.said for q in found.quantities))
