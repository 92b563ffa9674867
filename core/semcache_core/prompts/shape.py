"""What reads a prompt: a reader, several joined by `|`, and a function in a reader's place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.prompts.draft import Draft, Dropped, Said, asked, check_dropped, narrowed

_inside: ContextVar[bool] = ContextVar("semcache_reading", default=False)


class Shape(ABC):
    """A reader of prompts. Those of this package are frozen values; `|` joins them.

    A reader of your own implements `__call__`, from draft to draft; its `repr` is part of what must
    match, so that entries made by one reader are not found by another.
    """

    __slots__ = ()

    @property
    def slow(self) -> bool:
        """Whether it asks a model: asynchronous callers then read in a worker thread."""
        return False

    @abstractmethod
    def __call__(self, draft: Draft) -> Draft:
        """The draft with more of it taken apart."""

    def read(self, said: Sequence[Said]) -> Draft:
        """Take a prompt apart. What a reader's own model is asked is read as exact, not again."""
        whole = Draft(tuple(said))
        if _inside.get():
            return whole.failed("asked by a reader of prompts")
        token = _inside.set(True)
        try:
            draft = asked(self(whole))
        finally:
            _inside.reset(token)
        if not draft.why and not (draft.question or "").strip():
            draft = draft.failed("nothing is left of the question")
        if draft.why:
            return whole.failed(draft.why)
        return replace(draft, beside=(repr(self), *draft.beside))

    def __or__(self, other: Shape | Callable[[str], str | None]) -> Pipeline:
        return Pipeline((*_steps(self), *_steps(other)))

    def __ror__(self, other: Callable[[str], str | None]) -> Pipeline:
        return Pipeline((*_steps(other), *_steps(self)))


@dataclass(frozen=True, slots=True)
class Pipeline(Shape):
    """Readers one after the other; the first that finds no question ends it."""

    steps: tuple[Shape, ...]

    @property
    def slow(self) -> bool:
        return any(step.slow for step in self.steps)

    def __call__(self, draft: Draft) -> Draft:
        for step in self.steps:
            if draft.why:
                break
            draft = step(draft)
        return draft


@dataclass(frozen=True, slots=True)
class Narrowed(Shape):
    """The question as a function makes it of the text; None: it holds no question.

    Where the result is a part of the text, what stands around it must match exactly; where the
    text was rewritten, all of it must, unless it is ignored. The function has to answer alike each
    time. Raises `ConfigError`.
    """

    function: Callable[[str], str | None] = field(repr=False)
    dropped: Dropped = "exact"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(f"question: {self.function!r} was given; give a callable text -> str")
        check_dropped("Narrowed", self.dropped)

    def __call__(self, draft: Draft) -> Draft:
        draft = asked(draft)
        if draft.question is None:
            return draft
        found = self.function(draft.question)
        if not found:
            return draft.failed("the prompt holds more than a question; see question=")
        return narrowed(draft, found, self.dropped)


def check_conversation(conversation: str, question: Any) -> None:
    """Raises `ConfigError` for two ways at once of comparing earlier turns."""
    if conversation == "sequence" and isinstance(question, Shape):
        raise ConfigError(
            "conversation: 'sequence' compares earlier turns one by one, and cannot be joined with "
            "a reader as question=; LastTurns and AllContent compare earlier turns as well"
        )


def _steps(given: Shape | Callable[[str], str | None]) -> tuple[Shape, ...]:
    """What is joined, one after the other; a function becomes a reader."""
    if isinstance(given, Pipeline):
        return given.steps
    return (given if isinstance(given, Shape) else Narrowed(given),)
