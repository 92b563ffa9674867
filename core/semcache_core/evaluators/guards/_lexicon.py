"""The word lists of the guards: plain text files in `data/`, each read once, when first needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

Phrase = tuple[str, ...]


def lines(name: str) -> Iterator[str]:
    """The lines of a data file without comments and blanks."""
    text = files(__package__).joinpath("data").joinpath(name).read_text(encoding="utf-8")
    return (line for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _members(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@cache
def ranks() -> dict[str, int]:
    """English words and how frequent they are; 1 is the most frequent."""
    return {word: rank for rank, word in enumerate(lines("words.txt"), 1)}


@cache
def stopwords() -> dict[str, frozenset[str]]:
    """Function words by language code."""
    pairs = (line.split(":", 1) for line in lines("stopwords.txt"))
    return {code: frozenset(words.split()) for code, words in pairs}


@cache
def english() -> frozenset[str]:
    """English function words: they carry no content of their own."""
    return stopwords()["en"]


@cache
def spelling() -> dict[str, Phrase]:
    """Variants and contractions with the words they stand for."""
    pairs = (line.split("|") for line in lines("spelling.txt"))
    return {left.strip(): tuple(right.split()) for left, right in pairs}


@cache
def irregular() -> dict[str, str]:
    """Forms that no ending tells, with their base: "frozen", "freeze"."""
    pairs = (line.split("|") for line in lines("irregular.txt"))
    return {form: base.strip() for base, forms in pairs for form in _members(forms)}


@cache
def number_words() -> tuple[dict[str, int], dict[str, int]]:
    """Words with a value of their own, and words that multiply what stands before them."""
    plain: dict[str, int] = {}
    factors: dict[str, int] = {}
    for line in lines("numbers.txt"):
        value, words = (part.strip() for part in line.split("|"))
        target = factors if value.startswith("x") else plain
        target.update(dict.fromkeys(_members(words), int(value.removeprefix("x"))))
    return plain, factors


class Unit(NamedTuple):
    """A unit of measure."""

    dimension: str
    factor: float
    """To the base unit of the dimension; 0: not convertible."""
    alone: bool
    """Whether the name is a unit without a number before it ("miles" is, "m" is not)."""


@cache
def units() -> dict[str, Unit]:
    """Units by name and abbreviation."""
    found: dict[str, Unit] = {}
    for line in lines("units.txt"):
        dimension, factor, names = (part.strip() for part in line.split("|"))
        for name in _members(names):
            alone = not name.startswith("*")
            found[name.removeprefix("*")] = Unit(dimension, float(factor), alone)
    return found


class Kinds(NamedTuple):
    """Things that exclude one another."""

    canonical: dict[Phrase, str]
    """Each name, as words, with the name that stands for it."""
    kinds: dict[str, frozenset[str]]
    """The kinds a canonical name belongs to ("turkey" is a country and a meat)."""


@cache
def kinds() -> Kinds:
    """The gazetteer of `kinds.txt`."""
    canonical: dict[Phrase, str] = {}
    found: dict[str, set[str]] = {}
    for line in lines("kinds.txt"):
        kind, members = line.split(":", 1)
        for member in _members(members):
            names = [name.strip() for name in member.split(" = ")]
            head = canonical.get(tuple(names[0].split()), names[0])
            found.setdefault(head, set()).add(kind)
            for name in names:
                canonical.setdefault(tuple(name.split()), head)
    return Kinds(canonical, {name: frozenset(values) for name, values in found.items()})


@cache
def synonyms() -> dict[str, frozenset[int]]:
    """The groups (line numbers of `synonyms.txt`) that a word or phrase is in."""
    found: dict[str, set[int]] = {}
    for group, line in enumerate(lines("synonyms.txt")):
        for word in _members(line):
            found.setdefault(word, set()).add(group)
    return {word: frozenset(groups) for word, groups in found.items()}


@cache
def antonyms() -> dict[str, frozenset[str]]:
    """Each word or phrase with its opposites."""
    found: dict[str, set[str]] = {}
    for line in lines("antonyms.txt"):
        left, right = (_members(side) for side in line.split("|"))
        for one in left:
            found.setdefault(one, set()).update(right)
        for one in right:
            found.setdefault(one, set()).update(left)
    return {word: frozenset(opposites) for word, opposites in found.items()}


@cache
def labelled(name: str) -> dict[str, frozenset[str]]:
    """A file of `label: member, member` lines."""
    pairs = (line.split(":", 1) for line in lines(name))
    return {label: frozenset(_members(words)) for label, words in pairs}


@cache
def negators(language: str) -> frozenset[str]:
    """Negating words of a language; of all, but for English words, where it is not known.

    The Spanish for "without" is a sin, or a sine, in English.
    """
    lists = labelled("negations.txt")
    if language in lists:
        return lists[language]
    every = frozenset[str]().union(*(lists[code] for code in stopwords()))
    return lists["en"] | (every - ranks().keys())


@cache
def phrases() -> dict[str, list[tuple[Phrase, str]]]:
    """Phrases by their first word, longest first, each with the word it becomes ("": left out)."""
    found: dict[Phrase, str] = {}
    found.update(
        (tuple(filler.split()), "") for line in lines("fillers.txt") for filler in _members(line)
    )
    found.update((tuple(p.split()), "") for p in labelled("negations.txt")["idle"])
    found.update(kinds().canonical)
    for phrase in [*antonyms(), *synonyms()]:
        if " " in phrase:
            found.setdefault(tuple(phrase.split()), phrase)
    first: dict[str, list[tuple[Phrase, str]]] = {}
    for words, becomes in sorted(found.items(), key=lambda item: -len(item[0])):
        first.setdefault(words[0], []).append((words, becomes))
    return first
