"""How varied answers are: what a request's temperature does, and how many answers are kept.

The temperature stays in the request; the model is asked with it as ever.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from semcache_core.errors import ConfigError
from semcache_core.models import Entry, Prompt, Scored
from semcache_core.postprocess import SOFTMAX_TEMPERATURE, skips, softmax

_RULES = ("ignore", "skip", "sample")


@dataclass(frozen=True, slots=True)
class Variety:
    """The rules.

    `temperature` is "ignore"; "skip": the hotter a request, the more often the model is asked
    anew (GPTCache's rule, `postprocess.skip_probability`); or "sample": a hit draws among the
    acceptable candidates, the more evenly the hotter it is. At a temperature of 1 one whose score
    is 0.05 lower is drawn e times less often (`postprocess.SOFTMAX_TEMPERATURE`); scores differ by
    less than 0.35, so that at the temperature itself all would be drawn nearly alike.

    `answers` of one prompt are kept side by side; until there are so many, a request whose
    temperature is not 0 is asked anew, and a hit draws one of them. The same `seed` draws the same.

    Raises `ConfigError` for another rule, or fewer than one answer.
    """

    temperature: str = "ignore"
    answers: int = 1
    seed: int = 0
    _random: random.Random = field(init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.temperature not in _RULES:
            raise ConfigError(f"temperature: {self.temperature!r} was given; give one of {_RULES}")
        if not isinstance(self.answers, int) or self.answers < 1:
            raise ConfigError(f"answers: {self.answers!r} was given; give a whole number from 1")
        # Answers are drawn here, not secrets: a seeded generator is wanted.
        object.__setattr__(self, "_random", random.Random(self.seed))  # noqa: S311  # see above

    def skips(self, prompt: Prompt) -> bool:
        """Whether this request's temperature has it asked anew."""
        return self.temperature == "skip" and skips(prompt.temperature, self._drawn())

    def varies(self, prompt: Prompt) -> bool:
        """Whether the stored answer to this very prompt may not simply be served."""
        return self.answers > 1 and prompt.temperature != 0

    def wants_more(self, prompt: Prompt, kept: int) -> bool:
        """Whether the prompt is to be asked anew, to have another answer to it."""
        return self.varies(prompt) and kept < self.answers

    def one_of(self, prompt: Prompt, kept: Sequence[Entry]) -> Entry | None:
        """The answer to serve, of those kept for one prompt: all are equally right."""
        if len(kept) < 2 or not self.varies(prompt):
            return next(iter(kept), None)
        return kept[int(self._drawn() * len(kept))]

    def choose(self, prompt: Prompt, scored: Sequence[Scored]) -> Scored:
        """A `postprocess.Chooser`: drawn by the request's temperature if hits sample."""
        heat = prompt.temperature or 0.0
        if self.temperature != "sample" or heat <= 0.0:
            return scored[0]
        draw = self._drawn()
        shares = softmax([s.value for s in scored], heat * SOFTMAX_TEMPERATURE)
        for one, share in zip(scored, shares, strict=True):
            draw -= share
            if draw < 0.0:
                return one
        return scored[-1]

    def _drawn(self) -> float:
        with self._lock:
            return self._random.random()
