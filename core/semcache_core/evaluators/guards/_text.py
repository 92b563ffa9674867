"""What the guards and the verifier know of one text: found once, kept for texts seen again.

Every step is one pass over the text, so that a text of 100,000 characters takes a fraction of a
second; the patterns have no nested repetition.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, TypeVar

from semcache_core.evaluators.guards import _lexicon, _quantities
from semcache_core.evaluators.guards._stem import stem
from semcache_core.evaluators.guards._token import Token

R = TypeVar("R")


def _pattern(letter: str, inner: str) -> re.Pattern[str]:
    """What texts are cut by; `letter` begins a word, `inner` goes on with it."""
    return re.compile(
        # Before "w/o" and its like the boundary is looked for last: most words begin otherwise.
        r"[wW](?<=\b.)/[oO]\b|[bB](?<=\b.)/[wW]\b|[kK](?<=\b.)[mM]/[hH]\b|[mM](?<=\b.)[bB]/[sS]\b"
        r"|[$€£¥₹]|\d+(?:[.,:/-]\d+)*%?|[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
        rf"|{letter}{inner}*(?:['.&_-]{inner}+)*(?:[+#]+|(?='s\b))?"
        r"|[=!<>*/^|&+]{2,}|[=<>]|[.?!;\n]"
    )


_TOKEN = _pattern(r"[^\W\d_]", r"[^\W_\u3040-\u30ff\u3400-\u9fff]")
_ASCII = _pattern("[A-Za-z]", "[A-Za-z0-9]")
"""The same for texts of nothing else, where it is faster."""
_ENDS = frozenset(".?!;\n")
_CODES = {"US": "usa"}
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


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One analysed text."""

    raw: str
    words: tuple[Word, ...]
    content: tuple[Word, ...]
    stems: frozenset[str]
    """Of the content words, numbers included."""
    every: frozenset[str]
    """Surface forms of all words, function words included, fillers left out."""
    groups: frozenset[int]
    """Synonym groups that a word of the text is in."""
    unknown: tuple[str, ...]
    """Words that are in no list, and may be typos."""
    letters: frozenset[str]
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


@lru_cache(maxsize=8_192)
def _remembered(text: str) -> Text:
    return _analyse(text)


def _analyse(raw: str) -> Text:
    tokens = list(_expanded(_tokens(raw)))
    rest, quantities, units = _quantities.extract(list(_merged(tokens)))
    words = tuple([_word(token) for token in rest if token.text not in _ENDS])
    content = tuple([word for word in words if word.content])
    spoken = language(raw, [token.text for token in tokens])
    return Text(
        raw=raw,
        words=words,
        content=content,
        stems=frozenset([word.stem for word in content]),
        every=frozenset([word.text for word in words]),
        groups=_NO_GROUPS.union(*[word.groups for word in words if word.groups]),
        unknown=tuple([word.text for word in words if not word.known and len(word.text) > 3]),
        letters=frozenset([word.letters for word in words if word.letters]),
        quantities=quantities,
        units=units,
        negated=not _lexicon.negators(spoken).isdisjoint([token.text for token in rest]),
        notes={},
        language=spoken,
    )


def noted(find: Callable[[Text], R]) -> Callable[[Text], R]:
    """Keep what a function finds in a text with the text: stored questions are met again."""

    def found(text: Text) -> R:
        notes = text.notes
        if find in notes:
            return notes[find]  # type: ignore[return-value]  # what `find` put there
        made = notes[find] = find(text)
        return made

    return found


def _tokens(raw: str) -> list[Token]:
    """Capitals count inside a sentence, and only where most words have none (no title case)."""
    plain = raw.isascii()
    text = raw if plain else unicodedata.normalize("NFKC", raw).replace("’", "'")
    found, end, opening, capitals = [], -1, True, 0
    for match in (_ASCII if plain else _TOKEN).finditer(text):
        start, stop = match.span()
        word, capital, ends = _read(match[0])
        capitals += capital
        glued = start == end or text[end:start] == "("
        found.append(Token(word, capital and not opening, glued))
        end, opening = stop, ends
    if capitals * 2 > len(found) > 3:
        return [token._replace(text=token.text.lower(), capital=False) for token in found]
    return found


@lru_cache(maxsize=65_536)
def _read(word: str) -> tuple[str, bool, bool]:
    """The word in lower case, whether it has a capital, and whether it ends a sentence."""
    return _lowered(word), word[0].isupper() and word != "I", word in _ENDS


def _lowered(word: str) -> str:
    """In lower case, but for codes that look like small words: Maine is not me."""
    small = word.lower()
    if len(word) == 2 and word.isupper() and word != "AM" and small in _lexicon.english():
        return _CODES.get(word, word)
    return small


def _expanded(tokens: Sequence[Token]) -> Iterator[Token]:
    return chain.from_iterable(map(_expand, tokens))


@lru_cache(maxsize=65_536)
def _expand(token: Token) -> tuple[Token, ...]:
    return tuple(_expanding(token))


def _expanding(token: Token) -> Iterator[Token]:
    text = token.text
    spelt = _lexicon.spelling().get(text)
    if spelt:
        yield from (Token(word, token.capital, False) for word in spelt)
    elif text.endswith("n't"):
        yield from (Token(text[:-3], False, False), Token("not", False, False))
    elif (
        "-" in text
        and text[1] != "-"  # an e-book is no book
        and text.replace("-", "").isalpha()
        and (text,) not in _lexicon.kinds().canonical
    ):
        yield from (Token(part, token.capital, False) for part in text.split("-") if part)
    else:
        yield token._replace(text=_bare(text))


def _bare(text: str) -> str:
    text = text.removesuffix("'s")
    if "-" in text and text[0].isalpha():
        return text.replace("-", "")  # "w-2" is "w2"
    dotted = text.replace(".", "")
    # "u.s." and "p.m." are one word; "node.js" keeps its dot.
    return dotted if len(dotted) <= 3 and all(len(part) == 1 for part in text.split(".")) else text


def _merged(tokens: Sequence[Token]) -> Iterator[Token]:
    """Fillers left out, names of several words made one."""
    table, at, beginnings = _lexicon.phrases(), 0, _beginnings()
    texts = [*(token.text for token in tokens), ""]
    while at < len(tokens):
        text = texts[at]
        seconds = beginnings.get(text)
        begins = seconds is not None and ("" in seconds or texts[at + 1] in seconds)
        length, becomes = _phrase_at(texts, at, table) if begins else (0, "")
        if length == 0:
            yield tokens[at]
        elif becomes:
            yield Token(becomes, any(t.capital for t in tokens[at : at + length]), tokens[at].glued)
        at += max(length, 1)


@lru_cache(maxsize=1)
def _beginnings() -> dict[str, frozenset[str]]:
    """What may follow the first word of a phrase, "" where that is the whole phrase.

    Hardly any text has two such words, and to look is quick.
    """
    return {
        first: frozenset(phrase[1] if len(phrase) > 1 else "" for phrase, _ in known)
        for first, known in _lexicon.phrases().items()
    }


def _phrase_at(
    texts: list[str], at: int, table: dict[str, list[tuple[_lexicon.Phrase, str]]]
) -> tuple[int, str]:
    for phrase, becomes in table.get(texts[at], ()):
        if tuple(texts[at : at + len(phrase)]) == phrase:
            return len(phrase), becomes
    return 0, ""


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
    return Word(text, root, content, name, kinds, _groups(text, root), known, letters)


@lru_cache(maxsize=65_536)
def _named(text: str) -> Word:
    word = _plain(text)
    common = _lexicon.ranks().get(text, _COMMON) < _COMMON
    return word._replace(name=word.content and not common)


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


_SCRIPTS = (
    ("CJK", "han"),
    ("HIRAGANA", "japanese"),
    ("KATAKANA", "japanese"),
    ("HANGUL", "hangul"),
    ("CYRILLIC", "cyrillic"),
    ("GREEK", "greek"),
    ("ARABIC", "arabic"),
    ("HEBREW", "hebrew"),
    ("DEVANAGARI", "devanagari"),
    ("THAI", "thai"),
)


@lru_cache(maxsize=4_096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next((script for start, script in _SCRIPTS if name.startswith(start)), "")


def language(raw: str, words: Sequence[str]) -> str:
    """The script of most letters or, for Latin ones, the language whose function words prevail."""
    return _by_function_words(words) if raw.isascii() else _by_script(raw, words)


def _by_script(raw: str, words: Sequence[str]) -> str:
    counts: dict[str, int] = {}
    letters = [letter for letter in raw[:2_000] if letter.isalpha()]
    for letter in letters:
        script = "" if letter < "\u0250" else _script(letter)
        counts[script] = counts.get(script, 0) + 1
    if "japanese" in counts:
        return "japanese"
    top = max(counts, key=lambda script: counts[script], default="")
    return top or _by_function_words(words)


def _by_function_words(words: Sequence[str]) -> str:
    """A language code if it has at least two function words and twice as many as any other."""
    known, counts = _function_words(), {"": 0}
    for word in words[:400]:
        for code in known.get(word, ()):
            counts[code] = counts.get(code, 0) + 1
    code = max(counts, key=counts.__getitem__)
    best = counts.pop(code)
    return code if best >= 2 and best >= 2 * max(counts.values(), default=0) else ""


@lru_cache(maxsize=1)
def _function_words() -> dict[str, tuple[str, ...]]:
    """The codes of the languages that each function word belongs to."""
    listed = _lexicon.stopwords()
    words = frozenset().union(*listed.values())
    return {word: tuple(code for code in listed if word in listed[code]) for word in words}
