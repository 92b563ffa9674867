"""No reader of prompts loses a word: what is not in the question is in what must match exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.keys import digest
from semcache_core.prompts import (
    AllContent,
    LastMessage,
    LastTurns,
    Narrowed,
    Said,
    Selected,
    Without,
    WithoutTemplate,
)

WORDS = st.sampled_from(["Ann", "Bob", "who", "is", "Be brief.", "7", "\n", "?", ".", "Q: "])
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
RESTS = st.sampled_from([None, None, None, ["image"], {"tool_calls": ["look"]}])
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
TALKS = st.lists(st.builds(Said, ROLES, TEXTS, RESTS), max_size=5)

READERS = [
    LastMessage(),
    LastTurns(1),
    LastTurns(2, skip=("assistant",)),
    AllContent(),
    AllContent(("system", "user")),
    Without("Be brief."),
    Without("Ann", "Bob"),
    WithoutTemplate("Q: {question}"),
    WithoutTemplate("{context} Q: {question}"),
    Selected(3),
    LastTurns(2) | Without("Be brief."),
    Narrowed(str.upper),
    Narrowed(lambda text: text[: len(text) // 2]),
]


def told(shape, said: list[Said]) -> tuple[str | None, str]:
    """What a lookup goes by; white space alone makes no difference to a reader."""
    draft = shape.read(said)
    question = None if draft.question is None else " ".join(draft.question.split(" "))
    return question, digest(draft.exact)


def bare(said: list[Said]) -> list[tuple[str, list[str], str]]:
    """A conversation up to white space."""
    return [(one.role, (one.text or "").split(), repr(one.rest)) for one in said]


@pytest.mark.parametrize("shape", READERS, ids=repr)
@settings(max_examples=50)
@given(TALKS, TALKS)
def test_two_conversations_are_never_read_as_one(shape, one: list[Said], other: list[Said]) -> None:
    """Whatever differs is in the question or in what must match."""
    if bare(one) != bare(other):
        assert told(shape, one) != told(shape, other)


@pytest.mark.parametrize("shape", READERS, ids=repr)
@settings(max_examples=50)
@given(TALKS, st.data())
def test_one_changed_message_is_seen(shape, said: list[Said], data: st.DataObject) -> None:
    """The likelier way to be wrong: conversations that differ in one text only."""
    if not said:
        return
    place = data.draw(st.integers(0, len(said) - 1))
    text = data.draw(TEXTS)
    other = [*said]
    other[place] = Said(said[place].role, text, said[place].rest)
    if bare(said) != bare(other):
        assert told(shape, said) != told(shape, other)


@pytest.mark.parametrize(
    "shape", [LastTurns(1, dropped="ignore"), LastTurns(2, ("assistant",), "ignore")], ids=repr
)
@settings(max_examples=50)
@given(TALKS, st.data())
def test_ignoring_never_reaches_what_always_matters(
    shape, said: list[Said], data: st.DataObject
) -> None:
    """System prompts, tool messages and attachments matter, however much else is ignored."""
    places = [n for n, one in enumerate(said) if one.role in ("system", "tool") or one.rest]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    one = said[place]
    changed = Said(one.role, f"{one.text} more", one.rest)
    if one.role not in ("system", "tool"):
        changed = Said(one.role, one.text, ["another image"])
    other = [*said[:place], changed, *said[place + 1 :]]
    assert told(shape, said) != told(shape, other)
