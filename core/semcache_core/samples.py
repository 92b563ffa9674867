"""Questions to try a cache on: wordings, near misses, and traffic made of them.

They show what a cache does; how well it does on questions of your own, only those can tell
(`semcache_core.evaluation`).
"""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files
from itertools import combinations

import yaml

from semcache_core.evaluation import Asked, Pair

Family = dict[str, list[str]]
"""Groups that look alike, by name; the wordings of one group are served by one answer."""

_OPENINGS = ("", "", "", "Hello! ", "Hi, ", "Good morning. ", "Hey! ", "Quick question: ")
_ENDINGS = ("", "", "", " Thank you.", " Thanks!", " Thanks in advance.", " Many thanks!")


@cache
def families() -> dict[str, Family]:
    """All questions, by family and group."""
    text = files("semcache_core").joinpath("samples.yaml").read_text("utf-8")
    read: dict[str, Family] = yaml.safe_load(text)
    return read


def questions() -> list[Asked]:
    """Every wording once, with its group."""
    return [Asked(text, name) for name, texts in _groups().items() for text in texts]


def pairs() -> list[Pair]:
    """Rephrasings (two wordings of a group) and near misses (of two groups of a family)."""
    found = []
    for family in families().values():
        for texts in family.values():
            found += [Pair(b, a, True, "rephrasing") for a, b in combinations(texts, 2)]
        for ours, theirs in combinations(family.values(), 2):
            near = zip(theirs, ours, strict=False)
            found += [Pair(b, a, False, "near miss") for b, a in near]
    return found


def traffic(count: int, seed: int = 0) -> list[Asked]:
    """Questions as they arrive, greetings and thanks included: a few groups often (Zipf)."""
    draw = random.Random(seed)  # noqa: S311  # examples are drawn, not secrets
    groups = list(_groups().items())
    draw.shuffle(groups)
    weights = [1 / rank for rank in range(1, len(groups) + 1)]
    arriving = draw.choices(groups, weights, k=count)
    return [Asked(_framed(draw.choice(texts), draw), name) for name, texts in arriving]


def _framed(text: str, draw: random.Random) -> str:
    return f"{draw.choice(_OPENINGS)}{text}{draw.choice(_ENDINGS)}"


def _groups() -> Family:
    return {name: texts for family in families().values() for name, texts in family.items()}
