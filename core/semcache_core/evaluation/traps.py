"""Typed traps: questions, what else they may be asked as, and near misses that look the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from semcache_core.evaluation.examples import Pair


@dataclass(frozen=True, slots=True)
class Group:
    """One question and its kin."""

    question: str
    same: tuple[str, ...]
    """Other wordings: one answer serves all of them."""
    near: tuple[tuple[str, str], ...]
    """Kind and question of each near miss: another answer is right."""
    learnt: bool
    """Whether the shipped verifier was trained on it; the others are for checking it."""

    def pairs(self) -> Iterator[Pair]:
        """Every wording against the question and the next wording, every near miss against both."""
        for text in self.same:
            yield Pair(text, self.question, True, "paraphrase")
        for one, other in zip(self.same, self.same[1:], strict=False):
            yield Pair(other, one, True, "paraphrase")
        for number, (kind, text) in enumerate(self.near):
            yield Pair(text, self.question, False, kind)
            yield Pair(text, self.same[number % len(self.same)], False, kind)


def groups() -> list[Group]:
    """The groups of this package, some 150 in many domains, half of them learnt from."""
    return list(_parsed(_lines("traps.txt"), _every_other))


def harder_groups() -> list[Group]:
    """500 groups learnt from and 60 others: wordings far apart, near misses close by."""
    learnt = _parsed(_lines("harder.txt"), lambda _: True)
    return [*learnt, *_parsed(_lines("harder_unseen.txt"), lambda _: False)]


def traps(kinds: Iterable[str] | None = None, *, harder: bool = False) -> list[Pair]:
    """The pairs of all groups; only near misses of these kinds, and all paraphrases, if given.

    `harder`: those of `harder_groups` instead.
    """
    wanted = None if kinds is None else frozenset(kinds)
    chosen = harder_groups() if harder else groups()
    pairs = (pair for group in chosen for pair in group.pairs())
    return [pair for pair in pairs if wanted is None or pair.same or pair.kind in wanted]


def _lines(name: str) -> Iterator[str]:
    text = files(__package__).joinpath("data").joinpath(name).read_text(encoding="utf-8")
    return (line for line in text.splitlines() if line and line[0] != "#")


def _every_other(question: str) -> bool:
    return hashlib.sha256(question.encode()).digest()[-1] % 2 == 0


def _parsed(lines: Iterable[str], learnt: Callable[[str], bool]) -> Iterator[Group]:
    question, same, near = "", [], []  # type: str, list[str], list[tuple[str, str]]
    for line in lines:
        mark, text = line[0], line[1:].strip()
        if mark == "Q":
            if question:
                yield Group(question, tuple(same), tuple(near), learnt(question))
            question, same, near = text, [], []
        elif mark == "+":
            same.append(text)
        else:
            kind, _, other = text.partition(" ")
            near.append((kind, other))
    if question:
        yield Group(question, tuple(same), tuple(near), learnt(question))
