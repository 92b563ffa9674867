"""Typed traps: questions, what else they may be asked as, and near misses that look the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
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

    def pairs(self) -> Iterator[Pair]:
        """Every wording against the question and the next wording, every near miss against both."""
        for text in self.same:
            yield Pair(text, self.question, True, "paraphrase")
        for one, other in zip(self.same, self.same[1:], strict=False):
            yield Pair(other, one, True, "paraphrase")
        for number, (kind, text) in enumerate(self.near):
            yield Pair(text, self.question, False, kind)
            yield Pair(text, self.same[number % len(self.same)], False, kind)

    @property
    def learnt(self) -> bool:
        """Whether the shipped verifier was trained on it; the other half is for checking it."""
        return hashlib.sha256(self.question.encode()).digest()[-1] % 2 == 0


def groups() -> list[Group]:
    """All groups of this package, some 150 in many domains."""
    text = files(__package__).joinpath("data").joinpath("traps.txt").read_text(encoding="utf-8")
    return list(_parsed(line for line in text.splitlines() if line and line[0] != "#"))


def traps(kinds: Iterable[str] | None = None) -> list[Pair]:
    """The pairs of all groups; only near misses of these kinds, and all paraphrases, if given."""
    wanted = None if kinds is None else frozenset(kinds)
    pairs = (pair for group in groups() for pair in group.pairs())
    return [pair for pair in pairs if wanted is None or pair.same or pair.kind in wanted]


def _parsed(lines: Iterable[str]) -> Iterator[Group]:
    question, same, near = "", [], []  # type: str, list[str], list[tuple[str, str]]
    for line in lines:
        mark, text = line[0], line[1:].strip()
        if mark == "Q":
            if question:
                yield Group(question, tuple(same), tuple(near))
            question, same, near = text, [], []
        elif mark == "+":
            same.append(text)
        else:
            kind, _, other = text.partition(" ")
            near.append((kind, other))
    if question:
        yield Group(question, tuple(same), tuple(near))
