"""The envelope: what cannot be trusted is not opened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.envelope import seal, unseal
from semcache_core.errors import PayloadError


@given(st.binary(max_size=200_000) | st.just(b"x" * 100_000))
def test_what_is_sealed_comes_out_again(data):
    """Any bytes survive, small and large."""
    assert unseal(seal("json", data)) == ("json", data)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not in a semcache envelope"),
        (b"{}", "not in a semcache envelope"),
        (b"\xff\xfe 1 json 0\n", "not in a semcache envelope"),
        (b"other 1 json 0\n", "not in a semcache envelope"),
        (seal("json", b"data").replace(b" 1 ", b" 2 ", 1), "version '2'"),
        (seal("json", b"data").replace(b"data", b"date"), "checksum"),
        (seal("json", b"data")[:-1], "checksum"),
    ],
)
def test_a_foreign_future_or_damaged_envelope_is_refused(payload, message):
    """The error says which of the three it is."""
    with pytest.raises(PayloadError, match=message):
        unseal(payload)
