"""Prepositions that exclude one another before one thing: "with a pool" is not "without a pool"."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_EXCLUDE = (
    frozenset({"with", "without"}),
    frozenset({"to", "from"}),
    frozenset({"for", "from"}),
    frozenset({"before", "after", "during"}),
    frozenset({"over", "under"}),
    frozenset({"above", "below"}),
    frozenset({"inside", "outside"}),
    frozenset({"for", "against"}),
    frozenset({"with", "before"}),
    frozenset({"with", "after"}),
    frozenset({"at", "near"}),
    frozenset({"in", "near"}),
)
_SAME = MappingProxyType(
    {
        "into": "to",
        "onto": "to",
        "towards": "to",
        "w/o": "without",
        "form": "from",
        "nearby": "near",
    }
)
_ALL = frozenset[str]().union(*_EXCLUDE)
_SAID = _ALL | _SAME.keys()
_SWITCHES = frozenset({"turn", "switch", "power", "shut", "put", "set", "turned", "switched"})
_PARTICLES = frozenset({"on", "off"})
WORDS = _SAID | _PARTICLES
_REACH = 3
"""Content words that a preposition is taken to stand before."""

Objects = dict[str, frozenset[str]]


def differ(pair: Pair) -> str:
    """A thing that the texts put behind prepositions of which only one can be meant."""
    a, b = _objects(pair.a), _objects(pair.b)
    for thing in sorted(a.keys() & b.keys()):
        found = _excluding(a[thing], b[thing])
        if found:
            return f"before {thing!r}: {found}"
    return _switched(pair)


def touched(text: Text) -> bool:
    """Whether something stands behind a preposition that others exclude."""
    return bool(_objects(text) or _particles(text))


def _excluding(a: frozenset[str], b: frozenset[str]) -> str:
    """Where there are several, each of the one excludes each of the other."""
    if not a.isdisjoint(b):
        return ""
    pairs = ({one, other} for one in a for other in b)
    if all(any(pair <= group for group in _EXCLUDE) for pair in pairs):
        return f"{min(a)} / {min(b)}"
    return ""


@noted
def _objects(text: Text) -> Objects:
    """The stems behind each preposition, with the prepositions they stand behind."""
    if text.every.isdisjoint(_SAID):
        return {}
    found: dict[str, set[str]] = {}
    for thing, preposition in _governed(text):
        found.setdefault(thing, set()).add(preposition)
    return {thing: frozenset(prepositions) for thing, prepositions in found.items()}


def _governed(text: Text) -> Iterator[tuple[str, str]]:
    governing, left = "", 0
    for word in text.words:
        preposition = _SAME.get(word.text, word.text)
        if preposition in _ALL:
            governing, left = preposition, _REACH
        elif not word.content:
            left = left if left == _REACH else 0
        elif left:
            left -= 1
            yield word.stem, governing


def _switched(pair: Pair) -> str:
    """Turned on in one, off in the other, wherever the particle stands."""
    a, b = _particles(pair.a), _particles(pair.b)
    return f"{' '.join(a)} / {' '.join(b)}" if a and b and a != b else ""


@noted
def _particles(text: Text) -> frozenset[str]:
    if text.said.isdisjoint(_PARTICLES):
        return frozenset()
    said = frozenset(text.raw.lower().replace("?", " ").replace(".", " ").split())
    return frozenset[str]() if said.isdisjoint(_SWITCHES) else said & _PARTICLES
