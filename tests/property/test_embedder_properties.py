"""What holds for any text."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import packaged_minilm
from tokenizers import Tokenizer

from semcache_core.embedders import CachingEmbedder, HashEmbedder
from semcache_core.embedders._model import ModelFolder
from semcache_core.embedders._vectors import plain, unit_rows
from semcache_core.embedders._window import Window

ANY = st.text(st.characters(exclude_categories=()), max_size=300)
PIECES = ["a", "password", "𝒳", "😀", "隙", "don't", "12,345", "x\0y", "é", "\n"]
WORDS = st.lists(st.sampled_from(PIECES), max_size=300)
ROW = st.lists(st.floats(-1e300, 1e300), min_size=3, max_size=3).filter(any)
HASH = HashEmbedder(32)
CACHED = CachingEmbedder(HashEmbedder(32), cache_size=5, max_batch=3)


@cache
def window() -> Window:
    """MiniLM's."""
    found = ModelFolder(packaged_minilm()).window
    assert found is not None
    return found


@cache
def tokenizer() -> Tokenizer:
    """MiniLM's, without a limit."""
    made = Tokenizer.from_file(str(packaged_minilm() / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return made


@settings(deadline=None)
@given(st.lists(ANY, max_size=8))
def test_any_text_has_a_unit_vector(texts: list[str]) -> None:
    """Including surrogates, control characters and nothing at all."""
    rows = HASH.embed(texts)
    assert rows.shape == (len(texts), 32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(len(texts)), atol=1e-5)


@settings(deadline=None)
@given(st.lists(ANY, max_size=8))
def test_the_cache_changes_no_vector(texts: list[str]) -> None:
    """Whatever is remembered, forgotten or embedded in bulk, the vectors are the embedder's."""
    np.testing.assert_allclose(CACHED.embed(texts), HASH.embed(texts), atol=1e-6)


@settings(deadline=None)
@given(ANY)
def test_plain_text_can_be_encoded_and_stays(text: str) -> None:
    """Surrogates go, everything else stays as it is."""
    (found,) = plain([text])
    found.encode()
    assert plain([found]) == [found]
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert found == text


@settings(deadline=None, max_examples=300)
@given(ANY | WORDS.map(" ".join))
def test_fits_is_what_the_tokenizer_says(text: str) -> None:
    """A text fits when all its pieces, special ones included, are in the window and known."""
    try:
        text.encode()
    except UnicodeEncodeError:
        assert not window().fits(text)
        return
    ids = tokenizer().encode(text).ids
    assert window().fits(text) == (len(ids) <= 256 and tokenizer().token_to_id("[UNK]") not in ids)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1e300, 1e300), min_size=3, max_size=3).filter(any),
        min_size=1,
        max_size=5,
    )
)
def test_unit_rows_keep_their_direction(rows: list[list[float]]) -> None:
    """Any finite rows that are not zero are scaled to unit length, without turning them."""
    found = unit_rows(rows, len(rows), "it")
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.ones(len(rows)), atol=1e-5)
    largest = np.abs(rows).argmax(axis=1)
    for row, unit, place in zip(rows, found, largest, strict=True):
        assert np.sign(unit[place]) == np.sign(row[place])
