"""Questions of several texts, and earlier turns: each against the one in its place."""

from __future__ import annotations

import pytest

from semcache_core.embedders.testing import HashEmbedder
from semcache_core.evaluators import Cosine, Guards, guarded
from semcache_core.evaluators.turns import TurnByTurn
from semcache_core.models import Candidate, Entry, Query
from semcache_core.questions import joined, parts

EMBEDDER = HashEmbedder()
INNER = guarded(Guards(), Cosine())


def query(*texts: str, turns: tuple[str, ...] = ()) -> Query:
    text = joined(texts)
    return Query(text, EMBEDDER.embed([text])[0], turns)


def candidate(*texts: str, turns: tuple[str, ...] = ()) -> Candidate:
    entry = Entry("key", "scope", "", b"", 0.0, query=joined(texts), turns=turns)
    return Candidate(entry, 0.99)


def scored(one: Query, other: Candidate):
    [score] = TurnByTurn(INNER, EMBEDDER).score(one, [other])
    return score


def test_a_single_question_is_the_evaluators_own_business() -> None:
    """Nothing is embedded, and the score is the one it gave."""
    question, stored = query("Who is Ann?"), candidate("Who is Anna?")
    assert [scored(question, stored)] == list(INNER.score(question, [stored]))


@pytest.mark.parametrize("way", ["texts", "turns"])
def test_one_differing_text_decides(way: str) -> None:
    """Equal questions do not outvote another number in an earlier text."""

    def made(make, first: str):
        rest = "How long does it take?"
        return make(first, rest) if way == "texts" else make(rest, turns=(first,))

    first = "Where is order 4711?"
    same = scored(made(query, first), made(candidate, first))
    assert (same.value, same.reason, same.by) == (1.0, "the same texts", INNER.name)
    other = scored(made(query, first), made(candidate, "Where is order 4712?"))
    assert other.rejected
    assert "4711" in other.reason
    near = scored(made(query, first), made(candidate, "So where is order 4711?"))
    assert not near.rejected
    assert 0 < near.value < 1
    assert len(near.parts) == 1


def test_another_number_of_texts_is_another_question() -> None:
    """There is nothing to compare a text with."""
    assert scored(query("Hello!", "Who is Ann?"), candidate("Who is Ann?")).rejected


async def test_off_the_event_loop_it_scores_alike() -> None:
    """Several texts are embedded in a worker thread, a single one is not embedded at all."""
    evaluator = TurnByTurn(INNER, EMBEDDER)
    for texts in (("Who is Ann?",), ("Hello!", "Who is Ann?")):
        found = await evaluator.ascore(query(*texts), [candidate(*texts)])
        assert list(found) == list(evaluator.score(query(*texts), [candidate(*texts)]))


def test_texts_come_apart_as_they_were_joined() -> None:
    """Whatever they hold; the break between them cannot be forged."""
    texts = ["one\ntwo", "", "three\u2029four"]
    assert parts(joined(texts)) == ["one\ntwo", "", "three\nfour"]
