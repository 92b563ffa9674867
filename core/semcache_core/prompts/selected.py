"""The telling sentences of a long text, so that a question fits the embedder's window."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from semcache_core.errors import ConfigError
from semcache_core.prompts.draft import Draft, Dropped, asked, check_dropped
from semcache_core.prompts.shape import Shape
from semcache_core.questions import MAX_PIECES, pieces

_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_WORDS = re.compile(r"[^\W\d_]{3,}|\d+")


def informative(sentences: Sequence[str]) -> list[float]:
    """How much each sentence tells that the others do not: the mean of -log2 of its words' shares.

    It is self-information as in Selective Context (Li et al. 2023, section 3.1), with the text's
    own word counts in place of a language model, which would have to be loaded for it. Sentences
    that ask come before all others.
    """
    words = [_WORDS.findall(sentence.casefold()) for sentence in sentences]
    counts = Counter(word for found in words for word in found)
    total = sum(counts.values()) or 1

    def score(found: list[str]) -> float:
        return sum(-math.log2(counts[word] / total) for word in found) / (len(found) or 1)

    asks = [sentence.endswith("?") for sentence in sentences]
    return [score(found) + 1_000 * asking for found, asking in zip(words, asks, strict=True)]


@dataclass(frozen=True, slots=True)
class Selected(Shape):
    """Of a text longer than `budget` word pieces, the sentences that tell most.

    `score` gives a number for each sentence, higher for what is to be kept; without it those that
    ask come first and then those of the rarest words. The other sentences must match exactly, or
    are ignored. Raises `ConfigError`.
    """

    budget: int = MAX_PIECES
    dropped: Dropped = "exact"
    score: Callable[[Sequence[str]], Sequence[float]] = field(default=informative, repr=False)

    def __post_init__(self) -> None:
        check_budget("Selected", self.budget)
        check_dropped("Selected", self.dropped)
        if not callable(self.score):
            raise ConfigError(f"Selected: score={self.score!r} was given; give a callable")

    def __call__(self, draft: Draft) -> Draft:
        draft = asked(draft)
        if draft.question is None or pieces(draft.question) <= self.budget:
            return draft
        sentences = [one for one in _SENTENCES.split(draft.question.strip()) if one.strip()]
        kept = self._kept(sentences)
        others = [None if n in kept else one for n, one in enumerate(sentences)]
        beside = () if self.dropped == "ignore" else (others,)
        question = " ".join(sentences[n] for n in sorted(kept))
        return replace(draft, question=question, beside=(*draft.beside, *beside))

    def _kept(self, sentences: list[str]) -> set[int]:
        """The best that fit together; the best alone where not even that one fits."""
        scores = self.score(sentences)
        ranked = sorted(range(len(sentences)), key=lambda n: (-scores[n], n))
        kept, left = {ranked[0]}, self.budget - pieces(sentences[ranked[0]])
        for n in ranked[1:]:
            if (needs := pieces(sentences[n])) <= left:
                kept.add(n)
                left -= needs
        return kept


def check_budget(name: str, budget: object) -> None:
    """Raises `ConfigError` for what is no number of word pieces."""
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise ConfigError(f"{name}: budget={budget!r} was given; give word pieces, 1 or more")
