"""The guard of places: what changes when the same words stand elsewhere, and what does not."""

from __future__ import annotations

import pytest

from semcache_core.evaluators.guards import Guards

GUARD = Guards(("places",))

DIFFER = [
    ("Is 2 more than 1?", "Is 1 more than 2?", "exchanged: 2 / 1"),
    ("Why did A follow B?", "Why did B follow A?", "exchanged: a / b"),
    ("What is the tallest building?", "What is the second tallest building?", "rank differs"),
    ("the 2nd largest lake", "the third largest lake", "rank differs: second / third"),
    ("Who beat Germany in 2014?", "Who did Germany beat in 2014?", "asks for another"),
    ("Will it snow here?", "Will it snow in OR?", "elsewhere: here / OR"),
    ("who called my sister", "Whom did my sister call", "asks for another"),
]
ALIKE = [
    ("the difference between A and B", "the difference between B and A"),
    ("what is 2 plus 3", "what is 3 plus 2"),
    ("the second largest lake", "the 2nd largest lake"),
    ("Who is the king of Spain?", "Who was the king of Spain?"),
    ("Who wrote Hamlet?", "who wrote hamlet"),
    ("the first of May", "May the first"),
    ("", "who"),
    ("请问 2 比 1 大吗", "请问 1 比 2 大吗 x"),
]


@pytest.mark.parametrize(("a", "b", "why"), DIFFER)
def test_differ(a: str, b: str, why: str) -> None:
    """Either way round, with the reason."""
    assert GUARD.reason(a, b).startswith(why)
    assert GUARD.reason(b, a)


@pytest.mark.parametrize(("a", "b"), ALIKE)
def test_alike(a: str, b: str) -> None:
    """Order that means nothing, ranks spelt otherwise, questions that ask for the same."""
    assert GUARD.reason(a, b) == GUARD.reason(b, a) == ""
