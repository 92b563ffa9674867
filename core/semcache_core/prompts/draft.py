"""A prompt on its way to being split: what was said, and what of it is the question so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

from semcache_core.errors import ConfigError
from semcache_core.questions import joined

Dropped = Literal["exact", "ignore"]
"""What becomes of text that a question leaves out: it must match exactly, or is ignored."""

_inside: ContextVar[bool] = ContextVar("semcache_reading", default=False)


@dataclass(frozen=True, slots=True)
class Said:
    """One message as the model is shown it."""

    role: str
    """"user", "assistant", "system", "tool", or whatever else the framework calls it."""
    text: str | None
    """None: the text has become part of the question, or is ignored."""
    rest: Any = None
    """Images, files, tool calls, a name: whatever it holds beside text, in a canonical form."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt taken apart: nothing is in neither part, unless the user had it ignored."""

    said: tuple[Said, ...]
    """Oldest first, without the texts that are in the question."""
    question: str | None = None
    """What may be paraphrased; None: nothing yet."""
    beside: tuple[Any, ...] = ()
    """What else must match exactly: parts that were cut out of the question."""
    why: str = ""
    """Why there is no question, when there cannot be one."""

    @property
    def exact(self) -> Any:
        """All that must match exactly, as `keys.canonical` takes it."""
        return [[[one.role, one.text, one.rest] for one in self.said], list(self.beside)]

    def failed(self, why: str) -> Draft:
        """The same without a question: only an exact repeat can hit."""
        return replace(self, question=None, why=why)


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
        return Pipeline((*_steps(self), *_steps(_shape(other))))

    def __ror__(self, other: Callable[[str], str | None]) -> Pipeline:
        return Pipeline((*_steps(_shape(other)), *_steps(self)))


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


def asked(draft: Draft) -> Draft:
    """The draft with a question: the last user message's text, if none was taken yet."""
    if draft.question is not None or draft.why:
        return draft
    last = last_user(draft.said)
    return draft.failed("no user message") if last is None else taken(draft, [last])


def taken(draft: Draft, places: Sequence[int]) -> Draft:
    """With the texts of some messages as the question."""
    question = joined([draft.said[n].text or "" for n in places])
    said = tuple(
        replace(one, text=None) if n in places else one for n, one in enumerate(draft.said)
    )
    return replace(draft, said=said, question=question)


def ignoring(draft: Draft, places: Collection[int]) -> Draft:
    """Without some messages' texts, and without the messages if they held nothing else."""
    said = [
        replace(one, text=None) if n in places else one
        for n, one in enumerate(draft.said)
        if n not in places or one.rest is not None
    ]
    return replace(draft, said=tuple(said))


def last_user(said: Sequence[Said]) -> int | None:
    """Where the newest question is."""
    places = [n for n, one in enumerate(said) if one.role == "user"]
    return places[-1] if places else None


def check_dropped(name: str, dropped: Any) -> None:
    """Raises `ConfigError` for what is neither of the two words."""
    if dropped not in ("exact", "ignore"):
        raise ConfigError(
            f"{name}: dropped={dropped!r} was given; give 'exact' (what the question leaves out "
            "must be the same) or 'ignore' (it does not matter for the answer)"
        )


def check_conversation(conversation: str, question: Any) -> None:
    """Raises `ConfigError` for two ways at once of comparing earlier turns."""
    if conversation == "sequence" and isinstance(question, Shape):
        raise ConfigError(
            "conversation: 'sequence' compares earlier turns one by one, and cannot be joined with "
            "a reader as question=; LastTurns and AllContent compare earlier turns as well"
        )


def _steps(shape: Shape) -> tuple[Shape, ...]:
    return shape.steps if isinstance(shape, Pipeline) else (shape,)


def _shape(given: Any) -> Shape:
    if isinstance(given, Shape):
        return given
    from semcache_core.prompts.parts import Narrowed

    return Narrowed(given)
