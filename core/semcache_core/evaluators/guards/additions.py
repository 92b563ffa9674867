"""A word more: "boil an egg" is not "boil a duck egg", where all the rest is said by both."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from semcache_core.evaluators.guards import _lexicon
from semcache_core.evaluators.guards._pair import Pair, Words, telegraphic
from semcache_core.evaluators.guards._text import Text, noted

_END = ""


def differ(pair: Pair) -> str:
    """A word that stands between two neighbours of the other text, and is none of framing."""
    for left, other, text, shorter in (
        (pair.left_a, pair.left_b, pair.a, pair.b),
        (pair.left_b, pair.left_a, pair.b, pair.a),
    ):
        if left and not other and not telegraphic(shorter):
            found = next(_added(left, text, shorter), "")
            if found:
                return f"only in one question: {found}"
    return ""


def _added(left: Words, text: Text, shorter: Text) -> Iterator[str]:
    new = {word.stem for word in left if word.text not in _lexicon.light()}
    stems = _bordered(text)
    for before, word, after in zip(stems, text.content, stems[2:], strict=False):
        if word.stem in new and (before, after) in _neighbours(shorter):
            yield word.text


@noted
def _neighbours(text: Text) -> frozenset[tuple[str, str]]:
    return frozenset(pairwise(_bordered(text)))


def _bordered(text: Text) -> tuple[str, ...]:
    """The stems of what the text says, with its two ends."""
    return (_END, *(word.stem for word in text.content), _END)
