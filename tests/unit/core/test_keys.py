"""Keys: what makes two prompts the same."""

import dataclasses
import datetime
import enum

import pytest
from pydantic import BaseModel, create_model

from semcache_core.errors import UncacheableError
from semcache_core.keys import canonical, digest, make_prompt, normal, variant


def prompt(exact=None, query="How do I cancel?", **more):
    return make_prompt(kind="test", exact=exact, query=query, **more)


def test_one_accent_typed_in_two_ways_is_one_text():
    """NFC makes composed and decomposed text equal, inside containers too."""
    assert normal("cafe\u0301") == "caf\u00e9"
    assert digest({"a": ["cafe\u0301"]}) == digest({"a": ["caf\u00e9"]})


def test_the_order_of_a_dict_or_a_set_does_not_matter():
    """Equal mappings and sets have one canonical form."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({1, 2, "x"}) == digest({"x", 2, 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [12]),
        (["a", "b"], ["ab"]),
        (1, "1"),
        (None, "None"),
        (True, "True"),
        (b"1", "1"),
        ({"a": 1}, {"a": "1"}),
        ({1: "a"}, {"1": "a"}),
        ([[1], 2], [1, [2]]),
    ],
)
def test_different_values_have_different_digests(one, other):
    """Neither joining nor stringifying makes two values one."""
    assert digest(one) != digest(other)


def test_binary_content_is_compared_by_its_digest():
    """Images go in by content, and not in full."""
    assert canonical(b"x" * 10_000) == canonical(bytearray(b"x" * 10_000))
    assert len(canonical(b"x" * 10_000)) < 100


def test_lone_surrogates_and_huge_integers_have_a_form():
    """Text that is not valid Unicode and integers beyond 64 bits do not raise."""
    assert digest("\ud800") != digest("\ud801")
    assert digest(10**30) != digest(10**30 + 1)


def test_values_of_common_kinds_have_a_form():
    """Enums, dates, dataclasses and Pydantic models are compared by value."""

    class Colour(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Point:
        x: int

    class Answer(BaseModel):
        text: str

    assert digest(Colour.RED) == digest("red")
    assert digest(datetime.date(2026, 1, 2)) == digest("2026-01-02")
    assert digest(Point(1)) == digest(Point(1)) != digest(Point(2))
    assert digest(Answer(text="a")) == digest(Answer(text="a")) != digest(Answer(text="b"))


def test_two_classes_of_one_name_differ_by_their_schema():
    """A schema counts, not the class's name."""
    one, other = create_model("S", a=(int, ...)), create_model("S", b=(int, ...))
    assert one.__qualname__ == other.__qualname__
    assert digest(one) != digest(other)


def test_two_plain_classes_of_one_name_differ_by_their_fields():
    """Annotations stand in for a schema."""
    one = type("T", (), {"__annotations__": {"a": int}})
    other = type("T", (), {"__annotations__": {"a": str}})
    assert digest(one) != digest(other)


def test_an_object_without_a_stable_form_is_refused():
    """A repr with an address in it would never match, or match wrongly."""
    with pytest.raises(UncacheableError, match="no stable form"):
        canonical({"client": object()})


def test_everything_but_the_question_is_in_the_scope():
    """A rewording keeps the scope; anything else changes it."""
    base = prompt({"system": "be brief"})
    assert prompt({"system": "be brief"}, "How can I cancel?").scope == base.scope
    assert prompt({"system": "be long"}).scope != base.scope
    assert prompt({"system": "be brief"}, namespace="other").scope != base.scope
    assert make_prompt(kind="other", exact={"system": "be brief"}, query=base.query).scope != (
        base.scope
    )


def test_the_key_is_the_scope_and_the_whole_prompt():
    """Question and earlier turns change the key; white space around the question does not."""
    base = prompt()
    assert prompt(query="  How do I cancel? ").key == base.key
    assert prompt(query="How do I cancel").key != base.key
    assert prompt(turns=["before"]).key != base.key
    assert prompt(turns=["before"]).scope == base.scope


@pytest.mark.parametrize("query", [None, "", "   "])
def test_without_a_question_only_an_exact_match_can_hit(query):
    """The prompt says why."""
    made = prompt(query=query)
    assert made.query is None
    assert made.exact_only


def test_variants_have_keys_of_their_own():
    """Number 0 is the prompt's own key."""
    assert variant("k", 0) == "k"
    assert len({variant("k", n) for n in range(5)}) == 5
