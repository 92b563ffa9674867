"""How many of them: "are all of them insured" is not "are some of them", and "only A" not "A"."""

from __future__ import annotations

from types import MappingProxyType

from semcache_core.evaluators.guards._pair import Pair
from semcache_core.evaluators.guards._text import Text, noted

_CLASSES = MappingProxyType(
    {
        **dict.fromkeys(("all", "every", "each", "everyone", "everybody", "everything"), "all"),
        **dict.fromkeys(("some", "someone", "somebody", "several"), "some"),
        "most": "most",
        **dict.fromkeys(("anyone", "anybody"), "any"),
    }
)
_ONLY = frozenset({"only", "solely", "exclusively"})
WORDS = _CLASSES.keys() | _ONLY
_LONG = 2_000


def differ(pair: Pair) -> str:
    """Two quantifiers of which the texts share none, or "only" in one of them."""
    a, b = _quantified(pair.a), _quantified(pair.b)
    if a and b and a.isdisjoint(b) and {"any", "some"} != a | b:
        return f"quantity differs: {' '.join(sorted(a))} / {' '.join(sorted(b))}"
    return "only in one text: only" if _limited(pair.a) != _limited(pair.b) else ""


def touched(text: Text) -> bool:
    """Whether it has a quantifier."""
    return bool(_quantified(text)) or _limited(text)


@noted
def _quantified(text: Text) -> frozenset[str]:
    if text.said.isdisjoint(_CLASSES):
        return frozenset()
    return frozenset(_CLASSES[word] for word in _spoken(text) if word in _CLASSES)


@noted
def _limited(text: Text) -> bool:
    return not (text.said.isdisjoint(_ONLY) or _ONLY.isdisjoint(_spoken(text)))


def _spoken(text: Text) -> frozenset[str]:
    """The words as they stand: some of them are left out of the others as fillers."""
    return frozenset(text.raw[:_LONG].lower().replace("?", " ").replace(",", " ").split())
