"""Scores from the embeddings alone: cosine similarity, Euclidean distance, equality of the text."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from semcache_core.evaluators._base import BaseEvaluator, unit
from semcache_core.models import Candidate, Query, Score


class Cosine(BaseEvaluator):
    """The similarity the index found, in [0, 1]; negative ones are 0."""

    blocking = False
    recommended_threshold = 0.9

    @property
    def name(self) -> str:
        return "cosine"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        return [Score(unit(candidate.similarity), self.name) for candidate in candidates]


class L2(BaseEvaluator):
    """1 - d / 2 for the Euclidean distance d of the unit vectors, in [0, 2]: d^2 = 2 - 2 cos."""

    blocking = False
    recommended_threshold = 0.776  # a cosine of 0.9

    @property
    def name(self) -> str:
        return "l2"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        return [Score(_from_cosine(candidate.similarity), self.name) for candidate in candidates]


def _from_cosine(similarity: float) -> float:
    return unit(1.0 - math.sqrt(max(0.0, 2.0 - 2.0 * similarity)) / 2.0)


class Exact(BaseEvaluator):
    """1 for the same text up to case, spaces, punctuation and Unicode form, else 0."""

    blocking = False
    recommended_threshold = 1.0

    @property
    def name(self) -> str:
        return "exact"

    def _score(self, query: Query, candidates: Sequence[Candidate]) -> list[Score]:
        wanted = plain(query.text)
        found = (plain(candidate.entry.query or "") == wanted for candidate in candidates)
        return [Score(float(same), self.name) for same in found]


def plain(text: str) -> str:
    """The letters, digits and symbols of a text in one case, with single spaces between words.

    Only punctuation goes (Unicode category P without those that carry meaning in code and sums):
    "C++" stays apart from "C", and an emoji is kept.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(map(_kept, folded)).split())


def _kept(letter: str) -> str:
    if letter in "#%&*@/-_":
        return letter
    return "" if unicodedata.category(letter).startswith("P") else letter
