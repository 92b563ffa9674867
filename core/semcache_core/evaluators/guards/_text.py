"""What the guards and the verifier know of one text: found once, kept for texts seen again.

Every step is one pass over the text, so that a text of 100,000 characters takes a fraction of a
second; the patterns have no nested repetition.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

from semcache_core.evaluators.guards import _lexicon, _quantities
from semcache_core.evaluators.guards._cutting import ENDS, cut
from semcache_core.evaluators.guards._language import language
from semcache_core.evaluators.guards._phrases import merged
from semcache_core.evaluators.guards._sets import union
from semcache_core.evaluators.guards._stem import stem
from semcache_core.evaluators.guards._token import Token

R = TypeVar("R")

_COMMON = 2_000
"""Frequency rank up to which a capital letter makes no name ("the World Bank's Family Days")."""
_CACHED = 1_000
"""Longer texts are analysed each time: a cache of them would be as large as the entries."""


class Word(NamedTuple):
    """One word, or a phrase that stands for one thing."""

    text: str
    stem: str
    content: bool
    """Not a function word."""
    name: bool
    """Capitalised inside a sentence, or no frequent English word."""
    kinds: frozenset[str]
    groups: frozenset[int]
    """Synonym groups."""
    known: bool
    """Whether the word is in the list of English words, so that it is hardly a typo."""
    letters: str
    """Its letters, sorted; none of a short one, which is no typo of another."""
    capital: bool
    """Whether it is capitalised inside a sentence."""


class Text(NamedTuple):
    """One analysed text."""

    raw: str
    words: tuple[Word, ...]
    content: tuple[Word, ...]
    stems: frozenset[str]
    """Of the content words, numbers included."""
    every: frozenset[str]
    """Surface forms of all words, function words included, fillers left out."""
    said: frozenset[str]
    """All words in lower case, fillers included, also as they stood before they were spelt out."""
    groups: frozenset[int]
    """Synonym groups that a word of the text is in."""
    kinds: frozenset[str]
    """Kinds that a word of the text is a member of."""
    unknown: tuple[str, ...]
    """Words that are in no list, and may be typos."""
    letters: tuple[str, ...]
    """The letters of each word, sorted: what a swap of two of them leaves alone."""
    quantities: tuple[_quantities.Quantity, ...]
    units: frozenset[str]
    """Units named without a number."""
    negated: bool
    notes: dict[object, object]
    """What guards found out about the text alone: see `noted`."""
    language: str
    """A script ("han", "cyrillic") or, for Latin letters, a language code; "" if unsure."""


def analyse(text: str) -> Text:
    """The text's words, numbers, negation and language. Never raises."""
    return _remembered(text) if len(text) <= _CACHED else _analyse(text)


@lru_cache(maxsize=12_288)  # 4 kB each
def _remembered(text: str) -> Text:
    return _analyse(text)


def _analyse(raw: str) -> Text:
    tokens, said = cut(raw)
    rest, quantities, units = _quantities.extract(merged(tokens))
    words = tuple([_word(token) for token in rest if token.text not in ENDS])
    content = tuple([word for word in words if word.content])
    spoken = language(raw, [token.text for token in tokens])
    return Text(
        raw=raw,
        words=words,
        content=content,
        stems=frozenset([word.stem for word in content]),
        every=frozenset([word.text for word in words]),
        said=said,
        groups=union([word.groups for word in words]),
        kinds=union([word.kinds for word in words]),
        unknown=tuple([word.text for word in words if not word.known and len(word.text) > 3]),
        letters=tuple([word.letters for word in words if word.letters]),
        quantities=quantities,
        units=units,
        negated=not _lexicon.negators(spoken).isdisjoint([token.text for token in rest]),
        notes={},
        language=spoken,
    )


def noted(find: Callable[[Text], R]) -> Callable[[Text], R]:
    """Keep what a function finds in a text with the text: stored questions are met again."""

    def found(text: Text) -> R:
        try:
            return text.notes[find]  # type: ignore[return-value]  # what `find` put there
        except KeyError:
            made = text.notes[find] = find(text)
            return made

    return found


_NO_KINDS: frozenset[str] = frozenset()
_NO_GROUPS: frozenset[int] = frozenset()


def _word(token: Token) -> Word:
    text = token.text
    return _named(text) if token.capital else _plain(text)


@lru_cache(maxsize=65_536)
def _plain(text: str) -> Word:
    root = stem(text)
    content = text not in _lexicon.english()
    known = text in _lexicon.ranks()
    name = content and text.isalpha() and not known and root not in _known_stems()
    kinds = _lexicon.kinds().kinds.get(text, _NO_KINDS)
    letters = "".join(sorted(text)) if len(text) > 3 else ""
    groups = _groups(text, root)
    return Word(text, root, content, name, kinds, groups, known, letters, capital=False)


@lru_cache(maxsize=65_536)
def _named(text: str) -> Word:
    word = _plain(text)
    common = _lexicon.ranks().get(text, _COMMON) < _COMMON
    return word._replace(name=word.content and not common, capital=True)


@lru_cache(maxsize=1)
def _known_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in _lexicon.ranks())


def _groups(text: str, root: str) -> frozenset[int]:
    known = _lexicon.synonyms()
    return known.get(text) or known.get(root) or _by_stem().get(root, _NO_GROUPS)


@lru_cache(maxsize=1)
def _by_stem() -> dict[str, frozenset[int]]:
    found: dict[str, frozenset[int]] = {}
    for word, groups in _lexicon.synonyms().items():
        found[stem(word)] = found.get(stem(word), frozenset()) | groups
    return found
