"""Numbers and what they count: "two", "2", "a dozen", "1 km", "1,000 m", "3pm", "15:00"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._token import Token

_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_SCALES = {"k": 1_000, "m": 1_000_000, "b": 1_000_000_000, "bn": 1_000_000_000, "mn": 1_000_000}
_SIGNS = frozenset("$€£¥₹")
_INTO = frozenset({"to", "in", "into"})
_NO_UNITS: frozenset[str] = frozenset()
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_ISO = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)")
_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::\d\d)?")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECADES = {
    "twenties": 1920,
    "thirties": 1930,
    "forties": 1940,
    "fourties": 1940,
    "fifties": 1950,
    "sixties": 1960,
    "seventies": 1970,
    "eighties": 1980,
    "nineties": 1990,
}
_ONE_IS_NO_COUNT = frozenset(
    ["which", "this", "that", "the", "no", "any", "some", "each", "every", "another", "new", "good"]
)


_ROMAN = {
    word: number
    for number, word in enumerate(
        ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv"], 1
    )
}
_WORDS_TOO = frozenset({"i", "v", "x", "vi", "xi"})
"""Roman numerals that mean something else unless they follow a name: a pronoun, an editor."""
_NUMBERED = frozenset(
    ["war", "part", "type", "phase", "chapter", "volume", "level", "class", "act", "stage", "title"]
)
_VERBS_OF_I = frozenset(
    ["am", "have", "had", "was", "can", "could", "do", "did", "will", "would", "should", "need"]
) | frozenset(
    ["want", "get", "got", "like", "use", "know", "think", "feel", "must", "may", "see", "ask"]
)


class Quantity(NamedTuple):
    """A number of something."""

    said: str
    """The number as a person would read it."""
    value: float
    """In the base unit of the dimension."""
    dimension: str
    """"" for a plain number, "clock" for a time of day in minutes."""

    @property
    def key(self) -> tuple[str, str]:
        """What two equal quantities share: "1 km" and "1000 m"; 3.1 and 3.10 stay apart."""
        return (self.said if not self.dimension else f"{self.value:.6g}", self.dimension)


class Extracted(NamedTuple):
    """What is left of the tokens, and what was found."""

    rest: list[Token]
    quantities: tuple[Quantity, ...]
    units: frozenset[str]


def extract(tokens: list[Token]) -> Extracted:
    """Take the quantities and the units that stand alone out of the tokens."""
    starts = [at for at, token in enumerate(tokens) if _begins(token.text, tokens, at)]
    if not starts:
        return Extracted(tokens, (), _NO_UNITS)
    rest: list[Token] = []
    found: list[Quantity] = []
    units: set[str] = set()
    done = 0
    for at in starts:
        if at >= done:
            rest += tokens[done:at]
            length, quantity = _quantity(tokens, at)
            if quantity is not None:
                found.append(quantity)
            elif length == 0:
                _keep(tokens, at, rest, units, found)
            done = at + max(length, 1)
    return Extracted(rest + tokens[done:], tuple(found), frozenset(units) if units else _NO_UNITS)


def _begins(text: str, tokens: Sequence[Token], at: int) -> bool:
    """Whether a quantity or a unit may begin here."""
    if _inert(text):
        return False
    if text == "a":
        return at + 1 < len(tokens) and tokens[at + 1].text in _lexicon.number_words()[1]
    return not _small(text) or _is_target(tokens, at)


@lru_cache(maxsize=4_096)
def _small(text: str) -> bool:
    """Whether it is a unit behind a number only, as "in" and "m", and nothing else here."""
    unit = _lexicon.units().get(text)
    plain, factors = _lexicon.number_words()
    listed = any(text in words for words in (plain, factors, _ROMAN, _DECADES, _SIGNS))
    return unit is not None and not (unit.alone or listed or text[0].isdigit())


def _is_target(tokens: Sequence[Token], at: int) -> bool:
    """Whether the text ends here, in what something is turned into: "5 feet in m"."""
    return 0 < at == len(tokens) - 1 and tokens[at - 1].text in _INTO


@lru_cache(maxsize=65_536)
def _inert(text: str) -> bool:
    """Whether no quantity begins with this word, and it is no unit: true of nearly all."""
    plain, factors = _lexicon.number_words()
    begins = text[0].isdigit() or text == "a" or text in _SIGNS
    listed = (plain, factors, _lexicon.units(), _ROMAN, _DECADES)
    return not begins and not any(text in words for words in listed)


def _keep(
    tokens: Sequence[Token],
    at: int,
    rest: list[Token],
    units: set[str],
    found: list[Quantity],
) -> None:
    token = tokens[at]
    iso = _ISO.fullmatch(token.text)
    if iso and 1 <= int(iso[2]) <= 12:
        found += [_plain(iso[1]), _plain(str(int(iso[3])))]
        rest.append(token._replace(text=_MONTHS[int(iso[2]) - 1]))
        return
    unit = _lexicon.units().get(token.text)
    if unit and (unit.alone or _is_target(tokens, at)):
        units.add(_unit_name(token.text))
    if token.text not in _SIGNS:
        rest.append(token)


def _unit_name(text: str) -> str:
    """One name for all spellings of a unit: the last of its line is the plural in full."""
    unit = _lexicon.units()[text]
    same = (name for name, other in _lexicon.units().items() if other[:2] == unit[:2])
    return max(same, key=len)


def _plain(said: str) -> Quantity:
    return Quantity(said, float(said), "")


def _quantity(tokens: Sequence[Token], at: int) -> tuple[int, Quantity | None]:
    """How many tokens the quantity that starts here takes, and the quantity."""
    sign = tokens[at].text if tokens[at].text in _SIGNS else ""
    start = at + 1 if sign else at
    if start >= len(tokens):
        return 0, None
    time = _CLOCK.fullmatch(tokens[start].text)
    if time:
        return _time(tokens, at, int(time[1]), int(time[2]))
    roman = _roman(tokens, start)
    if roman:
        return 1, _plain(str(roman))
    decade = _DECADES.get(tokens[start].text)
    if decade:
        return 1, Quantity(f"{decade}s", decade, "decade")
    length, value, said = _number(tokens, start)
    if length == 0:
        return 0, None
    used, quantity = _with_unit(tokens, start + length, value, said, sign)
    return start - at + length + used, quantity


def _roman(tokens: Sequence[Token], at: int) -> int:
    """The value of a Roman numeral behind what it numbers ("Part II", "Henry V"); else 0."""
    value = _ROMAN.get(tokens[at].text, 0)
    if not value or at == 0 or tokens[at].glued or not tokens[at - 1].text.isalpha():
        return 0
    before, after = tokens[at - 1], tokens[at + 1].text if at + 1 < len(tokens) else ""
    if tokens[at].text in _WORDS_TOO:
        numbered = before.text in _NUMBERED or (before.capital and len(before.text) > 1)
        return value if numbered and after not in _VERBS_OF_I else 0
    return 0 if before.text in {"a", "an", "the", "my"} else value


def _number(tokens: Sequence[Token], at: int) -> tuple[int, float, str]:
    text = tokens[at].text
    if text[0].isdigit():
        return _digits(tokens, at)
    plain, factors = _lexicon.number_words()
    if text == "a" and at + 1 < len(tokens) and tokens[at + 1].text in factors:
        return 2, float(factors[tokens[at + 1].text]), str(factors[tokens[at + 1].text])
    if text not in plain or (text == "one" and not _counts(tokens, at)):
        return 0, 0.0, ""
    return _spelt_out(tokens, at)


def _counts(tokens: Sequence[Token], at: int) -> bool:
    """Whether "one" is a number here, and not a pronoun."""
    return not (at > 0 and tokens[at - 1].text in _ONE_IS_NO_COUNT) and at + 1 < len(tokens)


def _spelt_out(tokens: Sequence[Token], at: int) -> tuple[int, float, str]:
    """As in "twenty five", "two hundred and ten", "three dozen"."""
    plain, factors = _lexicon.number_words()
    total, part, used = 0, 0, 0
    for token in tokens[at : at + 12]:
        if token.text in plain and (part % 10 == 0 or plain[token.text] >= 100):
            part += plain[token.text]
        elif token.text in factors and part:
            part *= factors[token.text]
            if part >= 1_000:
                total, part = total + part, 0
        elif not (token.text == "and" and _goes_on(tokens, at + used, part or total)):
            break
        used += 1
    return used, float(total + part), str(total + part)


def _goes_on(tokens: Sequence[Token], at: int, sofar: int) -> bool:
    """Whether the "and" here is that of "two hundred and ten"."""
    following = tokens[at + 1].text if at + 1 < len(tokens) else ""
    return sofar >= 100 and sofar % 100 == 0 and following in _lexicon.number_words()[0]


def _digits(tokens: Sequence[Token], at: int) -> tuple[int, float, str]:
    text = tokens[at].text.removesuffix("%")
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if not text.replace(".", "", 1).isdecimal() or len(text) > 18:
        return 0, 0.0, ""
    value, said, used = float(text), _without_zeros(text), 1
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    factors = _lexicon.number_words()[1]
    if following and following.text in factors:
        value, used = value * factors[following.text], 2
    elif following and following.glued and following.text in {"k", "bn", "mn"}:
        value, used = value * _SCALES[following.text], 2
    return used, value, said if used == 1 else f"{value:.12g}"


def _without_zeros(text: str) -> str:
    """So that "2.0" is "2"; "3.10" stays, for it may be a version."""
    whole, _, fraction = text.partition(".")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction.strip("0") else whole


def _with_unit(
    tokens: Sequence[Token], at: int, value: float, said: str, sign: str
) -> tuple[int, Quantity]:
    if tokens[at - 1].text.endswith("%"):
        return 0, Quantity(said, value, "percent")
    text = tokens[at].text if at < len(tokens) else ""
    glued = bool(text) and tokens[at].glued
    if glued and text == "s" and value % 10 == 0:
        whole = value + 1900 if value < 100 else value
        return 1, Quantity(f"{whole:g}s", whole, "decade")
    if glued and text in _ORDINALS:
        return 1, Quantity(said, value, "")
    if text in {"am", "pm"}:
        return 1, _clock(value, 0, text)
    used = 1 if text in {"degree", "degrees"} else 0
    text = tokens[at + used].text if at + used < len(tokens) else ""
    unit = _lexicon.units().get(sign or text)
    if unit is None or (sign == "" and text in {"in", "b"} and not glued):
        return used, Quantity(said, value, "")
    return used + (not sign), Quantity(said, value * (unit.factor or 1.0), unit.dimension)


def _time(tokens: Sequence[Token], at: int, hour: int, minute: int) -> tuple[int, Quantity | None]:
    half = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if half in {"am", "pm"}:
        return 2, _clock(hour, minute, half)
    return 1, Quantity(f"{hour}:{minute:02}", hour * 60 + minute, "clock")


def _clock(hour: float, minute: int, half: str) -> Quantity:
    hours = hour % 12 + (12 if half == "pm" else 0)
    said = f"{hour:g}:{minute:02}" if minute else f"{hour:g}"
    return Quantity(said, hours * 60 + minute, "clock")
