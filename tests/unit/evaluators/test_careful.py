"""The default evaluator: strict with orders and in a crowd, lenient with a question on its own."""

from __future__ import annotations

import pytest
from evaluator_values import candidate, query

from semcache_core.evaluators import RECOMMENDED_THRESHOLD, Guards, Verifier
from semcache_core.evaluators.careful import DOUBT, Careful
from semcache_core.evaluators.guards import wording
from semcache_core.evaluators.guards._pair import pair_of


def careful() -> Careful:
    return Careful(Guards("core"), Verifier())


ASKED = query("will it rain in the evening at our salt lake")
SIMILAR = candidate("will it rain in the evening at our salty lake", 0.95)
OTHERS = [
    candidate(f"will it rain {when} at our salt lake", 0.85)
    for when in ("on Monday", "on Tuesday", "in an hour", "in June")
]


def test_alone_a_paraphrase_is_served() -> None:
    """Without look-alikes another form of a word is let pass."""
    [score] = careful().score(ASKED, [SIMILAR])
    assert score.value >= RECOMMENDED_THRESHOLD
    assert not score.reason


def test_among_look_alikes_it_has_to_be_word_for_word() -> None:
    """Three near questions that differ are a crowd: the same candidate is no longer served."""
    alone = careful().score(ASKED, [SIMILAR])[0].value
    first, *rest = careful().score(ASKED, [SIMILAR, *OTHERS])
    assert first.value == pytest.approx(DOUBT * alone)
    assert first.reason.startswith("among look-alikes: another form of")
    assert all(score.parts and score.value < RECOMMENDED_THRESHOLD for score in rest)


def test_the_same_words_are_served_in_a_crowd() -> None:
    """Nothing is held against a question that is there word for word."""
    first = careful().score(
        ASKED, [candidate("Will it rain at our salt lake in the evening?", 0.98), *OTHERS]
    )[0]
    assert first.value >= RECOMMENDED_THRESHOLD


def test_one_question_in_many_wordings_is_no_crowd() -> None:
    """Neighbours that are the same word for word do not count."""
    same = [
        candidate(f"{hello} will it rain in the evening at our salt lake", 0.97)
        for hello in ("Hi,", "Hello,", "Please,", "Hey,")
    ]
    first = careful().score(ASKED, [SIMILAR, *same])[0]
    assert not first.reason


def test_orders_do_what_their_words_say() -> None:
    """A word more is another order, and the reason says which; the score is not lost."""
    [score] = careful().score(
        query("play some jazz songs"), [candidate("play some old jazz songs", 0.97)]
    )
    assert 0.0 < score.value < RECOMMENDED_THRESHOLD
    assert "an order: words differ: none / old" in score.reason


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("show my limit", "show the limit", "only in one: my"),
        ("no, it was declined", "it was declined", "replies differ: no / none"),
        ("how do I top it up", "top it up", "asked for: how / nothing"),
        ("a song of the forest", "songs of the forest", "another form of 'song'"),
        ("a lake of salt", "a salty lake", "another form of 'salt'"),
        ("what is the forecast here", "forecast here", ""),
        ("the cost of a flat", "the price of a flat", ""),
    ],
)
def test_word_for_word(a: str, b: str, reason: str) -> None:
    """What counts as a difference, and what does not."""
    assert wording.unequal(pair_of(a, b)) == reason


def test_texts_that_are_no_orders_may_differ() -> None:
    """Alone, only orders are compared word for word."""
    assert wording.differ(pair_of("rain in the evening", "rain at night")) == ""
