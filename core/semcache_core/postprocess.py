"""After the decision: which acceptable candidate is served, and whether to look at all.

A chooser takes the prompt and the acceptable candidates, best first and never empty, and returns
one of them. Certified policies hand over a single candidate, since it is the best one that was
certified; the others hand over all that reach their threshold.
"""

from __future__ import annotations

import inspect
import logging
import math
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from semcache_core.errors import ConfigError, EvaluatorError
from semcache_core.models import Prompt, Scored

log = logging.getLogger(__name__)

Chooser = Callable[[Prompt, Sequence[Scored]], Scored]
SOFTMAX_TEMPERATURE = 0.05
"""Values of acceptable candidates lie close together, mostly in [0.65, 1]: at a temperature of 1
they are drawn all but alike, at this one the best is e times as likely as one 0.05 below."""

Adapt = Callable[[str, str], str | Awaitable[str]]
"""(question, cached answer) -> the answer fitted to the question."""


def first(prompt: Prompt, scored: Sequence[Scored]) -> Scored:
    """The best candidate."""
    return scored[0]


def softmax(values: Sequence[float], temperature: float) -> list[float]:
    """Probabilities proportional to e^(value / temperature); all on the best at T = 0.

    The maximum is subtracted first, so that no temperature overflows. `values` is not empty.
    Raises ConfigError for a temperature that is negative or not finite.
    """
    _temperature(temperature)
    top = max(values)
    if temperature == 0.0:
        return [float(i == values.index(top)) for i in range(len(values))]
    weights = [math.exp(max((v - top) / temperature, -700.0)) for v in values]
    total = sum(weights)
    return [w / total for w in weights]


@dataclass(frozen=True)
class Sample:
    """Draws one candidate; `temperature` None: each alike, else by `softmax` over their values.

    The same seed draws the same sequence. Thread-safe.
    """

    temperature: float | None = 0.0
    seed: int = 0
    _random: random.Random = field(init=False, repr=False, compare=False)
    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.temperature is not None:
            _temperature(self.temperature)
        # Answers are chosen here, not secrets: a seeded generator is wanted.
        object.__setattr__(self, "_random", random.Random(self.seed))  # noqa: S311  # see above

    def __call__(self, prompt: Prompt, scored: Sequence[Scored]) -> Scored:
        if self.temperature is None:
            weights = [1.0] * len(scored)
        else:
            weights = softmax([s.value for s in scored], self.temperature)
        with self._lock:
            return self._random.choices(scored, weights)[0]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A user's function as a chooser; what it returns must be one of the candidates."""

    function: Chooser

    def __call__(self, prompt: Prompt, scored: Sequence[Scored]) -> Scored:
        chosen = self.function(prompt, scored)
        if not any(chosen is s for s in scored):
            raise EvaluatorError(
                f"post-process function {self.function!r} returned {chosen!r}: "
                "it must return one of the candidates it was given"
            )
        return chosen


def make_chooser(
    spec: str | Chooser | None = None, *, temperature: float | None = None, seed: int = 0
) -> Chooser:
    """A chooser from "first" (the default), "random", "softmax", or a function of the user's.

    `temperature` is that of "softmax" (None: `SOFTMAX_TEMPERATURE`). Raises `ConfigError` for one
    that is negative or not finite, or beside another spec.
    """
    if temperature is not None and spec != "softmax":
        raise ConfigError(f"softmax_temperature={temperature!r}: it is for post_process='softmax'")
    if callable(spec):
        return spec if isinstance(spec, (Sample, Chosen)) else Chosen(spec)
    if spec in (None, "first"):
        return first
    if spec in ("random", "softmax"):
        heat = SOFTMAX_TEMPERATURE if temperature is None else temperature
        return Sample(None if spec == "random" else heat, seed)
    raise ConfigError(
        f"post-process {spec!r}: give 'first', 'random', 'softmax' or a function (prompt, scored)"
    )


@dataclass(frozen=True, slots=True)
class Adapter:
    """Fits a cached answer to the question with a callable, usually a small model.

    Whatever goes wrong (an exception, an empty or non-text result), the cached answer is served
    as it is: it was good enough to be a hit.
    """

    function: Adapt

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(f"adapt={self.function!r}: give a function (question, answer) -> str")

    def apply(self, question: str, answer: str) -> str:
        """The adapted answer. An async function cannot run here, and changes nothing."""
        try:
            adapted = self.function(question, answer)
            if inspect.iscoroutine(adapted):
                adapted.close()
                log.warning("adapt=%r is async: only async lookups adapt", self.function)
        except Exception:  # a user's function; its failure costs only the adaptation
            log.warning("adapting a cached answer failed", exc_info=True)
            return answer
        return _text_or(adapted, answer)

    async def aapply(self, question: str, answer: str) -> str:
        """The adapted answer; the function may be sync or async."""
        try:
            adapted = self.function(question, answer)
            if inspect.isawaitable(adapted):
                adapted = await adapted
        except Exception:  # a user's function; its failure costs only the adaptation
            log.warning("adapting a cached answer failed", exc_info=True)
            return answer
        return _text_or(adapted, answer)


def skip_probability(temperature: float | None) -> float:
    """How often a call of this temperature skips the lookup (GPTCache's rule, 0.1.44).

    T <= 0 or None: 0. Between 0 and 2: 1 / (1 + e^(1/T)), 27% at T = 1. T >= 2: 1. The model
    still gets the temperature it was called with. Raises ConfigError for NaN.
    """
    if temperature is None or temperature <= 0.0:
        return 0.0
    if math.isnan(temperature):
        raise ConfigError("temperature=nan: give a number, or None")
    if temperature >= 2.0:
        return 1.0
    # e^(-1/T) / (1 + e^(-1/T)) is the same number and cannot overflow as T goes to 0.
    odds = math.exp(-1.0 / temperature)
    return odds / (1.0 + odds)


def skips(temperature: float | None, draw: float) -> bool:
    """Whether a call skips the lookup, for `draw` uniform in [0, 1)."""
    return draw < skip_probability(temperature)


def _temperature(value: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0.0:
        raise ConfigError(f"temperature={value!r}: give a number of at least 0")


def _text_or(adapted: object, answer: str) -> str:
    return adapted if isinstance(adapted, str) and adapted.strip() else answer
