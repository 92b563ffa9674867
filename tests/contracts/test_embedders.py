"""What every embedder must do, run over each kind; models are the real MiniLM."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from chromadb.api.types import Documents, EmbeddingFunction, Embeddings
from langchain_core.embeddings import Embeddings as LangChainEmbeddings
from llama_index.core.base.embeddings.base import BaseEmbedding

from semcache_core.embedders import (
    CachingEmbedder,
    CallableEmbedder,
    ChromaEmbedder,
    HashEmbedder,
    LangChainEmbedder,
    LlamaIndexEmbedder,
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    make_embedder,
)
from semcache_core.errors import EmbedderError
from semcache_core.protocols import Embedder, TokenEmbedder

TEXTS = ["How do I reset my password?", "What is the capital of France?", "Bake bread"]
HOSTILE = [
    "",
    "   \n\t",
    "\0",
    "a\0b",
    "😀👍🏽",
    "\ud83d\ude00",
    "half a \ud800 character",
    "x" * 100_000,
    "word " * 20_000,
    "\u202eright to left\u202c",
    "é" * 300,
    "<script>alert('x')</script>'; DROP TABLE entries; --",
]
HASH = HashEmbedder()


def hashed(texts: Sequence[str]) -> list[list[float]]:
    """Vectors that are not of unit length, as other people's may be."""
    return (HASH.embed(texts) * 7).tolist()


class LangChain(LangChainEmbeddings):
    """A LangChain embedding of somebody's own."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return hashed(texts)

    def embed_query(self, text: str) -> list[float]:
        return hashed([text])[0]


class LlamaIndex(BaseEmbedding):
    """A LlamaIndex embedding of somebody's own."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return hashed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_query_embedding(text)


class Chroma(EmbeddingFunction[Documents]):
    """A Chroma embedding function of somebody's own."""

    def __init__(self) -> None:
        pass

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002  # Chroma's name
        return [np.array(row, np.float32) for row in hashed(input)]

    @staticmethod
    def name() -> str:
        return "somebody's"

    def get_config(self) -> dict[str, Any]:
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> EmbeddingFunction[Documents]:
        return Chroma()


def one_text(text: str) -> Any:
    """A function of one text."""
    return np.array(hashed([text])[0])


async def some_texts(texts: list[str]) -> list[list[float]]:
    """An asynchronous function of a list of texts."""
    await asyncio.sleep(0)
    return hashed(texts)


KINDS: dict[str, Callable[[], Embedder]] = {
    "hash": HashEmbedder,
    "onnx": OnnxEmbedder,
    "onnx-int8": lambda: OnnxEmbedder(dtype="int8"),
    "torch": lambda: SentenceTransformerEmbedder(device="cpu"),
    "langchain": lambda: LangChainEmbedder(LangChain()),
    "llamaindex": lambda: LlamaIndexEmbedder(LlamaIndex()),
    "chroma": lambda: ChromaEmbedder(Chroma()),
    "callable": lambda: CallableEmbedder(hashed),
    "callable-of-one": lambda: CallableEmbedder(one_text),
    "callable-async": lambda: CallableEmbedder(some_texts),
    "caching": lambda: CachingEmbedder(HashEmbedder()),
    "caching-onnx": make_embedder,
    "caching-native-async": lambda: CachingEmbedder(LlamaIndexEmbedder(LlamaIndex())),
}


@pytest.fixture(params=KINDS, scope="module")
def embedder(request: pytest.FixtureRequest) -> Embedder:
    """One embedder of each kind, with its model loaded once."""
    return KINDS[request.param]()


def test_is_an_embedder(embedder: Embedder) -> None:
    """Each satisfies the protocol."""
    assert isinstance(embedder, Embedder)


def test_identity_is_told_and_stable(embedder: Embedder) -> None:
    """The identity is a non-empty text, the same every time."""
    assert embedder.identity
    assert embedder.identity == embedder.identity


def test_vectors_are_unit_rows(embedder: Embedder) -> None:
    """One float32 row of unit length a text, as many numbers as `dimension` says."""
    rows = embedder.embed(TEXTS)
    assert rows.shape == (3, embedder.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    """An empty list gives an empty matrix of the right width."""
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_alone_or_together_is_the_same(embedder: Embedder) -> None:
    """A text's vector does not depend on what is embedded with it, nor on the order."""
    together = embedder.embed([*TEXTS, "word " * 60])
    alone = np.concatenate([embedder.embed([text]) for text in [*TEXTS, "word " * 60]])
    least = 0.98 if "int8" in embedder.identity else 0.9999
    assert (together * alone).sum(axis=1).min() > least


def test_repeated_texts_are_equal(embedder: Embedder) -> None:
    """The same text twice in one call gives the same vector twice."""
    rows = embedder.embed([TEXTS[0], TEXTS[1], TEXTS[0]])
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-6)
    assert rows[0] @ rows[1] < 0.99


async def test_async_is_the_same(embedder: Embedder) -> None:
    """`aembed` gives what `embed` gives."""
    least = 0.98 if "int8" in embedder.identity else 0.9999
    rows = await embedder.aembed(TEXTS)
    assert (rows * embedder.embed(TEXTS)).sum(axis=1).min() > least
    assert (await embedder.aembed([])).shape == (0, embedder.dimension)


def test_hostile_texts_are_embedded(embedder: Embedder) -> None:
    """No text, however odd or long, makes it raise or return anything but unit rows."""
    rows = embedder.embed(HOSTILE)
    assert rows.shape == (len(HOSTILE), embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert {type(embedder.fits(text)) for text in HOSTILE} == {bool}


def test_short_questions_fit(embedder: Embedder) -> None:
    """Ordinary questions fit, and so does the empty text."""
    assert all(embedder.fits(text) for text in [*TEXTS, ""])


def test_half_characters_do_not_fit(embedder: Embedder) -> None:
    """A text that no encoding knows is not to be embedded."""
    assert not embedder.fits("half a \ud800 character")


def test_a_single_str_is_refused(embedder: Embedder) -> None:
    """A str instead of a list would be embedded letter by letter; it raises instead."""
    with pytest.raises(EmbedderError, match="list of texts"):
        embedder.embed("How do I reset my password?")


def test_what_is_no_text_is_refused(embedder: Embedder) -> None:
    """Anything but texts raises and is named."""
    with pytest.raises(EmbedderError, match="NoneType"):
        embedder.embed([None])  # type: ignore[list-item]  # the mistake under test


def test_many_threads_at_once(embedder: Embedder) -> None:
    """Sixteen threads with different texts get each their own vector."""
    texts = [f"{TEXTS[k % 3]} {k}" for k in range(16)]
    expected = embedder.embed(texts)
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        found[k] = embedder.embed([texts[k]])[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    least = 0.98 if "int8" in embedder.identity else 0.9999
    assert min(found[k] @ expected[k] for k in range(16)) > least


def test_token_vectors(embedder: Embedder) -> None:
    """Where token vectors are shown, each text gets unit rows without the special pieces."""
    if not isinstance(embedder, TokenEmbedder):
        pytest.skip("shows no token vectors")
    question, empty, long = embedder.embed_tokens(["reset my password", "", "word " * 400])
    assert question.shape == (3, embedder.dimension)
    assert empty.shape == (0, embedder.dimension)
    assert long.shape == (254, embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(long, axis=1), 1, atol=1e-5)
