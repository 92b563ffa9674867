"""What a demonstration is: questions asked through a framework, told as frozen values.

An adapter announces its demonstration as an entry point of the group `semcache.demos`, so that
`semcache demo` can run and show it while the core knows no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from semcache_core.errors import MissingDependency

GROUP = "semcache.demos"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a demonstration and what became of it."""

    question: str
    to: str
    """The assistant: another one has another system prompt."""
    expected: bool
    """Whether the same was asked of the same assistant before, in whatever words."""
    hit: bool
    reason: str
    """Why it is a hit or a miss (`models.Reason`)."""
    detail: str
    answer: str
    seconds: float
    """From the question to the answer."""
    note: str = ""
    """What makes a question the near miss of an earlier one, in the author's words."""
    matched: str | None = None
    """The question whose answer was served, or the nearest one that was not good enough."""
    similarity: float | None = None
    """Cosine similarity to `matched`; None when there was nothing to compare with."""
    right: bool = True
    """Whether what was served answers this question; True for a miss."""
    tokens: int = 0
    """Tokens of the answer: spent by a miss, saved by a hit."""
    seconds_saved: float = 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """A whole demonstration in numbers."""

    questions: int
    hits: int
    false_hits: int
    missed: int
    """Misses although the same had been asked before."""
    near_misses: int
    """Near misses that were rightly not answered from the cache."""
    tokens_spent: int
    tokens_saved: int
    seconds: float
    seconds_saved: float

    @classmethod
    def of(cls, rows: Iterable[Asked]) -> Totals:
        rows = list(rows)
        hits = [row for row in rows if row.hit]
        misses = [row for row in rows if not row.hit]
        return cls(
            questions=len(rows),
            hits=len(hits),
            false_hits=sum(not row.right for row in hits),
            missed=sum(row.expected for row in misses),
            near_misses=sum(bool(row.note) for row in misses),
            tokens_spent=sum(row.tokens for row in misses),
            tokens_saved=sum(row.tokens for row in hits),
            seconds=sum(row.seconds for row in rows),
            seconds_saved=sum(row.seconds_saved for row in hits),
        )


class Demo(Protocol):
    """A demonstration that is ready to run; iterating asks the questions."""

    @property
    def title(self) -> str:
        """Which framework, which model answers, which embedder."""

    @property
    def found(self) -> int:
        """Answers that an earlier run left on disk."""

    def __iter__(self) -> Iterator[Asked]: ...


MakeDemo = Callable[[Path, bool], AbstractContextManager[Demo]]
"""Opens the cache in a folder; True: forget first what is in it."""


def demo_named(name: str) -> MakeDemo:
    """The demonstration of an adapter; raises `MissingDependency` naming the extra to install."""
    point = next(iter(entry_points(group=GROUP, name=name)), None)
    try:
        if point is None:
            raise ModuleNotFoundError(name=f"{name}_semcache")
        made: MakeDemo = point.load()
    except ModuleNotFoundError as error:
        raise MissingDependency("the demonstration", error.name or name, name) from error
    return made
