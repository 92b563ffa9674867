"""What the verifier sees of a pair: a few numbers about two texts, none about their subject.

All are symmetric in the two texts, and each can only speak for a hit or only against one
(`SIGNS`), which is what lets coefficients carry over to questions of another kind. Left out after
measuring: the alignment of token vectors (BERTScore's precision and recall, the least matched
token), shared bigrams and the order of the words: they added nothing on unseen data sets, and
token vectors would cost a forward pass of the model for every stored question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType

from semcache_core.evaluators.guards import _lexicon, constraints
from semcache_core.evaluators.guards._asked import asked
from semcache_core.evaluators.guards._pair import Pair, Words, slips
from semcache_core.evaluators.guards._text import Text, Word, noted

SIGNS = MappingProxyType(
    {
        "cosine": 1,
        "gap": 1,
        "left": -1,
        "left_one": -1,
        "all_said": 1,
        "names": -1,
        "constraint": -1,
        "asked": -1,
        "typos": 1,
    }
)
"""The features in order; +1 speaks for a hit, -1 against."""

_RAREST = 30_000
_CLOSE = 1e-3
"""Embeddings of one text differ by rounding: nearer than this is no nearer."""


def features(cosine: float, pair: Pair) -> tuple[float, ...]:
    """The numbers, in the order of `SIGNS`.

    cosine: of the embeddings. gap: -log(1 - cosine), which tells near ones apart. left: share of
    what the two texts say, weighted by rarity, that the other does not say, words of framing aside;
    left_one: how much more of it one text has; all_said: there is nothing left. names: names in
    what is left. constraint: one question narrows the other. asked: they ask for different things,
    if vaguely. typos: what the cosine lacks of 1, as far as slips explain it: it punishes them too
    much.
    """
    words_a, words_b = pair.left_a, pair.left_b
    rest_a, rest_b = _telling(words_a, words_b), _telling(words_b, words_a)
    left_a, left_b = _mass(rest_a), _mass(rest_b)
    return (
        cosine,
        -math.log(max(_CLOSE, 1.0 - cosine)),
        (left_a + left_b) / (_content_mass(pair.a) + _content_mass(pair.b) or 1.0),
        abs(left_a - left_b),
        float(not (rest_a or rest_b)),
        float(sum([word.name for word in (*words_a, *words_b)])),
        float(bool(constraints.differ(pair))),
        float(_asks_otherwise(asked(pair.a), asked(pair.b))),
        (1.0 - cosine) * _slipped(pair),
    )


def _telling(left: Words, other: Words) -> Words:
    """What is left of one text; no words of framing, unless something stands in their place."""
    if other or not left:
        return left
    light = _lexicon.light()
    return tuple(word for word in left if word.text not in light)


def _asks_otherwise(a: str, b: str) -> bool:
    """Whether both say what they ask for, and it is not the same; "what" may ask for a "how"."""
    return bool(a and b) and a != b and {a, b} != {"what", "how"}


@lru_cache(maxsize=65_536)
def weight(text: str) -> float:
    """How much a word says, in [0.2, 1]: the logarithm of its frequency rank (Zipf's law).

    It stands for the inverse document frequency in a corpus, which a new cache does not have.
    """
    ranks = _lexicon.ranks()
    rank = ranks.get(text) or ranks.get(text.removesuffix("s"), _RAREST)
    return max(0.2, math.log(rank) / math.log(_RAREST))


def _mass(words: Sequence[Word]) -> float:
    return sum([weight(word.text) for word in words])


@noted
def _content_mass(text: Text) -> float:
    return _mass(text.content)


def _slipped(pair: Pair) -> float:
    """1 if at least a quarter of the content words are slips, less in proportion."""
    if not (pair.diff_a or pair.diff_b):
        return 0.0
    words = len(pair.a.content) + len(pair.b.content)
    return min(1.0, 4.0 * slips(pair) / words) if words else 0.0
