"""Codecs: JSON answers, and finding another package's codec by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.codecs import JSON, codec_named, text_of
from semcache_core.envelope import seal
from semcache_core.errors import PayloadError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_json_values_survive(answer):
    """What `put` takes is what `get` returns."""
    try:
        data = JSON.encode(answer)
    except UnicodeEncodeError:
        return
    except PayloadError as error:
        assert "surrogates" in str(error)
        return
    assert JSON.decode(data) == answer


@pytest.mark.parametrize("answer", [object(), {1: "a"}, (1, 2), {"a": {1, 2}}, float("nan")])
def test_what_json_would_change_is_refused(answer):
    """Tuples, integer keys and objects do not come back as they went in."""
    with pytest.raises(PayloadError):
        JSON.encode(answer)


def test_bytes_that_are_not_json_are_a_payload_error():
    """A damaged answer is the cache's error, not json's."""
    with pytest.raises(PayloadError):
        JSON.decode(b"{")


def test_the_text_of_an_answer():
    """A string as it is, other values as JSON."""
    assert text_of(seal("json", JSON.encode("yes"))) == "yes"
    assert text_of(seal("json", JSON.encode({"a": 1}))) == '{"a": 1}'


def test_an_unknown_codec_is_named():
    """The error says which kind of answer nobody reads."""
    with pytest.raises(PayloadError, match="'nobody'"):
        codec_named("nobody")


def test_installed_packages_announce_their_codecs():
    """The LangChain adapter's codec is found without importing it here."""
    assert codec_named("langchain").name == "langchain"
