"""No content of a prompt reaches another scope: not by delimiters, nesting, types or Unicode."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from semcache_core.errors import UncacheableError
from semcache_core.keys import canonical, digest, make_prompt, sha256, variant

# What separators, digests, escapes and look-alikes are made of.
pieces = st.sampled_from(
    ["\0", "\0set", "\0sha256", "set", "sha256", "class", "key", "scope", '"', '","', "]", "[", "}",
     "\\", "\\u0000", "\n", "|", ":", "---", "\u0301", "e\u0301", "\u00e9", "\u202e", "\ud800", "A",
     "\uff21", "\u0391", "\u200b", "int:1", "null", "1", sha256(b"")]
)  # fmt: skip
texts = st.lists(pieces | st.text(max_size=3), max_size=4).map("".join)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    plain | st.binary(max_size=4) | st.frozensets(texts | st.integers(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def form(value: Any) -> Any:
    """What a value is, without the code that is tested: equal exactly for values that are alike."""
    if isinstance(value, str):
        return "str", unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return "mapping", frozenset((form(key), form(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(form(item) for item in value)
    if isinstance(value, frozenset | set):
        return "set", frozenset(form(item) for item in value)
    return type(value).__name__, repr(value)


def digest_or_none(value: Any) -> str | None:
    """None for what is refused, as it has no form of its own."""
    try:
        return digest(value)
    except UncacheableError:
        return None


@given(values, values)
@example({"set": []}, frozenset())
@example({"sha256": sha256(b"")}, b"")
@example({"\0sha256": sha256(b"")}, b"")
@example({"\0set": []}, frozenset())
@example({"\0\0set": []}, {"\0set": []})
@example({"int:1": 0}, {1: 0})
@example({"\0int:1": 0}, {1: 0})
@example({1: 0}, {"1": 0})
@example({True: 0}, {1.5: 0})
@example(["a", "b"], ['a","b'])
@example([["a"], "b"], ["a", ["b"]])
@example("null", None)
@example(1, 1.0)
@example(True, 1)
@example({"class": "int", "schema": {}}, int)
def test_alike_if_and_only_if_the_digests_are(one: Any, other: Any) -> None:
    """Two values have one digest exactly when they are the same value."""
    digests = digest_or_none(one), digest_or_none(other)
    if None not in digests:
        assert (digests[0] == digests[1]) == (form(one) == form(other))


class Colour(Enum):
    """An enumeration of a user's."""

    RED = "red"


@pytest.mark.parametrize("value", [int, date(2026, 1, 2), Colour.RED, {(1, "a"): b"x"}])
def test_other_values_look_like_no_mapping(value: Any) -> None:
    """The canonical form of a class cannot be written as JSON by who writes a prompt."""
    shown = json.loads(canonical(value))
    if isinstance(shown, dict):
        assert digest(shown) != digest(value)


def test_mappings_whose_keys_become_one_are_refused() -> None:
    """Else one of the two would not count."""
    with pytest.raises(UncacheableError, match="Unicode"):
        digest({"\u00e9": 1, "e\u0301": 2})


def test_keys_without_a_stable_form_are_refused() -> None:
    """An object's address is no name."""
    with pytest.raises(UncacheableError):
        digest({object(): 1})


@given(texts, texts, texts, texts, values, values)
def test_tenant_model_and_question_do_not_flow_into_each_other(
    tenant: str, other: str, question: str, asked: str, exact: Any, given_: Any
) -> None:
    """Scopes are alike only if tenant and exact part are, keys only if the question is as well."""
    try:
        first = make_prompt(kind="k", exact=exact, query=question, namespace=tenant)
        second = make_prompt(kind="k", exact=given_, query=asked, namespace=other)
    except UncacheableError:
        return
    same_scope = form([tenant, exact]) == form([other, given_])
    assert (first.scope == second.scope) == same_scope
    assert (first.key == second.key) == (same_scope and first.query == second.query)


@given(values, texts)
def test_the_exact_part_is_not_reached_from_the_question(exact: Any, question: str) -> None:
    """Whatever the question says, the scope is the same."""
    if digest_or_none(exact) is not None:
        asked = make_prompt(kind="k", exact=exact, query=question)
        assert asked.scope == make_prompt(kind="k", exact=exact).scope


@given(texts, st.integers(1, 5))
def test_further_answers_have_keys_of_their_own(question: str, number: int) -> None:
    """A variant's key is no key of a prompt, nor another's variant."""
    key = make_prompt(kind="k", exact=None, query=question).key
    assert variant(key, 0) == key
    assert len({variant(key, n) for n in range(number + 1)}) == number + 1


@given(texts, st.none() | texts, texts)
def test_the_short_cut_for_texts_gives_the_same_digests(
    tenant: str, exact: str | None, question: str
) -> None:
    """Scope and key are the digests of the canonical form, whatever the text."""
    asked = make_prompt(kind="k", exact=exact, query=question, namespace=tenant)
    scope = digest("scope", "k", tenant, exact)
    query = unicodedata.normalize("NFC", question).strip() if question else None
    assert asked.scope == scope
    assert asked.key == digest("key", scope, query, [])
