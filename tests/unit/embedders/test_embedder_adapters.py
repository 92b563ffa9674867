"""Others' embedders: recognised by what they can do, called the right way, told apart."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from chromadb.utils.embedding_functions import (
    DefaultEmbeddingFunction,
    ONNXMiniLM_L6_V2,
    SentenceTransformerEmbeddingFunction,
)
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.embeddings import Embeddings as LangChainEmbeddings
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.embeddings import MockEmbedding
from tiny_models import packaged_minilm

from semcache_core.embedders import (
    CallableEmbedder,
    ChromaEmbedder,
    HashEmbedder,
    LangChainEmbedder,
    LlamaIndexEmbedder,
    SentenceTransformerEmbedder,
)
from semcache_core.embedders import _background as background
from semcache_core.embedders._background import BackgroundLoop
from semcache_core.embedders._foreign import described
from semcache_core.embedders.adapters import adapted
from semcache_core.errors import ConfigError, EmbedderError

HASH = HashEmbedder(16)


def hashed(text: str, prefix: str = "") -> list[float]:
    """A vector of a text."""
    return HASH.embed([prefix + text])[0].tolist()  # type: ignore[no-any-return]


class Asymmetric(LangChainEmbeddings):
    """Puts different words in front of queries and documents, as instructed models do."""

    def __init__(self, document: str = "passage: ") -> None:
        self.document = document
        self.calls: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls.append("documents")
        return [hashed(text, self.document) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.calls.append("query")
        return hashed(text, "query: ")


class Native(Asymmetric):
    """Has asynchronous methods of its own."""

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls.append("adocuments")
        return [hashed(text, self.document) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        self.calls.append("aquery")
        return hashed(text, "query: ")


class Llama(BaseEmbedding):
    """A LlamaIndex embedding that tells queries from texts."""

    _calls: list[str] = PrivateAttr(default_factory=list)

    def _get_query_embedding(self, query: str) -> list[float]:
        self._calls.append("query")
        return hashed(query, "query: ")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        self._calls.append("aquery")
        return hashed(query, "query: ")

    def _get_text_embedding(self, text: str) -> list[float]:
        self._calls.append("text")
        return hashed(text, "passage: ")


QUERIES = HASH.embed(["query: a", "query: b", "query: c"])


def test_questions_are_embedded_as_queries() -> None:
    """Alone and in a batch, a question gets the vector of a query, never that of a document."""
    embedder = LangChainEmbedder(Asymmetric())
    np.testing.assert_allclose(embedder.embed(["a"]), QUERIES[:1], atol=1e-6)
    np.testing.assert_allclose(embedder.embed(["a", "b", "c"]), QUERIES, atol=1e-6)


def test_documents_are_used_for_batches_where_they_are_the_same() -> None:
    """One text shows that both ways agree; from then on a batch is one call."""
    theirs = Asymmetric(document="query: ")
    embedder = LangChainEmbedder(theirs)
    np.testing.assert_allclose(embedder.embed(["a", "b", "c"]), QUERIES, atol=1e-6)
    assert theirs.calls == ["documents", "query"]
    embedder.embed(["b", "c"])
    assert theirs.calls == ["documents", "query", "documents"]


def test_documents_of_another_length_differ() -> None:
    """Vectors that cannot be compared are not the same."""

    class Longer(Asymmetric):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0] * 20 for _ in texts]

    np.testing.assert_allclose(
        LangChainEmbedder(Longer()).embed(["a", "b", "c"]), QUERIES, atol=1e-6
    )


def test_documents_are_not_tried_again_where_they_differ() -> None:
    """Once they are known to differ, only queries are asked for."""
    theirs = Asymmetric()
    embedder = LangChainEmbedder(theirs)
    embedder.embed(["a", "b"])
    theirs.calls.clear()
    embedder.embed(["a", "b"])
    assert theirs.calls == ["query", "query"]


async def test_langchains_native_async_is_used() -> None:
    """Where a class has asynchronous methods of its own, they are awaited."""
    theirs = Native()
    embedder = LangChainEmbedder(theirs)
    assert embedder.native_async
    np.testing.assert_allclose(await embedder.aembed(["a"]), QUERIES[:1], atol=1e-6)
    np.testing.assert_allclose(await embedder.aembed(["a", "b", "c"]), QUERIES, atol=1e-6)
    assert set(theirs.calls) == {"aquery", "adocuments"}


async def test_langchains_own_default_is_no_native_async() -> None:
    """The base class's way is a worker thread; it works, and is not counted as native."""
    embedder = LangChainEmbedder(Asymmetric())
    assert not embedder.native_async
    np.testing.assert_allclose(await embedder.aembed(["a"]), QUERIES[:1], atol=1e-6)


def test_langchains_fake_is_deterministic() -> None:
    """LangChain's own embedding for tests works as it is."""
    embedder = LangChainEmbedder(DeterministicFakeEmbedding(size=8))
    assert (embedder.embed(["a", "b"])[0] @ embedder.embed(["a"])[0]) > 0.9999
    assert embedder.dimension == 8


async def test_llamaindex_queries_sync_and_async() -> None:
    """LlamaIndex' query methods are used, the asynchronous one on a loop."""
    theirs = Llama()
    embedder = LlamaIndexEmbedder(theirs)
    np.testing.assert_allclose(embedder.embed(["a"]), QUERIES[:1], atol=1e-6)
    np.testing.assert_allclose(await embedder.aembed(["b"]), QUERIES[1:2], atol=1e-6)
    assert theirs._calls == ["query", "aquery"]
    np.testing.assert_allclose(embedder.embed(["a", "b", "c"]), QUERIES, atol=1e-6)
    assert embedder.embed(["x"]).shape == (1, 16)


def test_llamaindex_mock_is_usable() -> None:
    """LlamaIndex' own embedding for tests has vectors that are all alike, and valid."""
    embedder = LlamaIndexEmbedder(MockEmbedding(embed_dim=4))
    np.testing.assert_allclose(embedder.embed(["a", "b"]), np.full((2, 4), 0.5))


def test_chromas_sentence_transformers_agree_with_ours() -> None:
    """A real embedding function of Chroma's gives the vectors of our own embedder."""
    theirs = SentenceTransformerEmbeddingFunction(model_name=str(packaged_minilm()))
    embedder = ChromaEmbedder(theirs)
    texts = ["How do I reset my password?", "What is the capital of France?"]
    ours = SentenceTransformerEmbedder(packaged_minilm(), device="cpu").embed(texts)
    assert (embedder.embed(texts) * ours).sum(axis=1).min() > 0.9999
    assert embedder._longest == 2 * 256
    assert str(packaged_minilm()) in embedder.identity


def test_chromas_default_is_loaded_once() -> None:
    """Chroma's default makes a new model in every call; the model itself is used instead."""
    embedder = adapted(DefaultEmbeddingFunction())
    assert isinstance(embedder, ChromaEmbedder)
    assert isinstance(embedder._call.__self__, ONNXMiniLM_L6_V2)  # type: ignore[attr-defined]
    assert embedder._longest == 2 * 256


# -- callables -------------------------------------------------------------------------------------


class Counted:
    """A callable object that notes what it is given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.given: list[Any] = []

    def __call__(self, given: Any) -> Any:
        self.given.append(given)
        return self.answer(given)


def of_many(texts: Any) -> Any:
    """Rows for a list."""
    return [hashed(text) for text in texts] if isinstance(texts, list) else 1 / 0


def of_one(text: Any) -> Any:
    """A vector for a str; a list is a mistake that it does not notice at once."""
    return hashed(text.lower())


EXPECTED = HASH.embed(["a", "b", "c"])


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]])
@pytest.mark.parametrize("answer", [of_many, of_one])
def test_lists_and_single_texts_are_told_apart(answer: Any, texts: list[str]) -> None:
    """A function without annotation is tried with a list first, once."""
    call = Counted(answer)
    embedder = CallableEmbedder(call)
    for _ in range(2):
        np.testing.assert_allclose(embedder.embed(texts), EXPECTED[: len(texts)], atol=1e-6)
    lists = [given for given in call.given if isinstance(given, list)]
    assert len(lists) == (2 if answer is of_many else 1)


def test_a_vector_for_a_list_means_one_text() -> None:
    """A function of one text that swallows a list and returns a vector is found out."""
    call = Counted(lambda given: [float(len(given)), 1.0])
    embedder = CallableEmbedder(call)
    np.testing.assert_allclose(
        embedder.embed(["abc", "a"])[0], [3 / 10**0.5, 1 / 10**0.5], atol=1e-6
    )
    assert call.given == [["abc", "a"], "abc", "a"]


def test_a_matrix_of_one_row_counts_as_a_vector() -> None:
    """A function of one text may return what a model gives for a list of it."""

    def embed(text: str) -> Any:
        return HASH.embed([text])

    np.testing.assert_allclose(CallableEmbedder(embed).embed(["a", "b", "c"]), EXPECTED, atol=1e-6)


def annotated_one(text: str) -> Any:
    """A function whose annotation says one text."""
    assert isinstance(text, str)
    return hashed(text)


def annotated_list(texts: list[str]) -> Any:
    """A function whose annotation says a list."""
    assert isinstance(texts, list)
    return of_many(texts)


def annotated_sequence(texts: Sequence[str]) -> Any:
    """A function whose annotation says a sequence."""
    return of_many(texts)


def unresolved(texts: NowhereDefined) -> Any:  # type: ignore[name-defined]  # noqa: F821  # as is
    """A function whose annotation means nothing at run time."""
    return of_many(texts)


@pytest.mark.parametrize(
    ("function", "takes_list"),
    [
        (annotated_one, False),
        (annotated_list, True),
        (annotated_sequence, True),
        (of_many, None),
        (unresolved, None),
        (functools.partial(of_many), None),
        (np.linalg.norm, None),
        (len, None),
    ],
)
def test_annotations_are_believed(function: Any, takes_list: bool | None) -> None:
    """Where the annotation says what is taken, nothing has to be tried."""
    assert CallableEmbedder(function)._takes_list is takes_list


async def test_asynchronous_functions_work_both_ways() -> None:
    """A coroutine function is awaited on a loop, and run on a background loop elsewhere."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def embed(texts: list[str]) -> Any:
        loops.append(asyncio.get_running_loop())
        return of_many(texts)

    embedder = CallableEmbedder(embed)
    assert embedder.native_async
    np.testing.assert_allclose(await embedder.aembed(["a"]), EXPECTED[:1], atol=1e-6)
    for text in ("a", "b"):
        await asyncio.to_thread(embedder.embed, [text])
        embedder.embed([text])
    assert loops[0] is asyncio.get_running_loop()
    assert len({id(loop) for loop in loops[1:]}) == 1
    assert loops[1] is not loops[0]


async def test_functions_that_return_awaitables_work_both_ways() -> None:
    """So does a plain function that returns a coroutine."""

    async def inner(texts: list[str]) -> Any:
        return of_many(texts)

    def outer(texts: list[str]) -> Any:
        return inner(texts)

    embedder = CallableEmbedder(outer)
    np.testing.assert_allclose(await embedder.aembed(["a", "b"]), EXPECTED[:2], atol=1e-6)
    np.testing.assert_allclose(embedder.embed(["a", "b"]), EXPECTED[:2], atol=1e-6)


async def test_synchronous_functions_do_not_block_the_loop() -> None:
    """On a loop they run in a worker thread."""
    threads: list[bool] = []

    def embed(texts: list[str]) -> Any:
        try:
            asyncio.get_running_loop()
            threads.append(False)
        except RuntimeError:
            threads.append(True)
        return of_many(texts)

    await CallableEmbedder(embed).aembed(["a"])
    assert threads == [True]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda given: None, "NoneType"),
        (lambda given: "text", "str of"),
        (lambda given: [[1.0, float("nan")]], "not finite"),
        (lambda given: [[0.0, 0.0]], "zeros only"),
        (lambda given: 1 / 0, "ZeroDivisionError"),
        (lambda given: [[1.0], [1.0, 2.0]], "different lengths"),
    ],
)
def test_what_comes_back_is_named(answer: Any, said: str) -> None:
    """Neither vectors nor an error of its own: the message says what came back."""
    with pytest.raises(EmbedderError, match=said):
        CallableEmbedder(answer).embed(["a"])


def test_a_changed_dimension_is_found_out() -> None:
    """A model that is exchanged behind the function's back is noticed."""
    sizes = iter([2, 2, 3])
    embedder = CallableEmbedder(lambda texts: np.ones((len(texts), next(sizes))))
    assert embedder.dimension == 2
    embedder.embed(["a"])
    with pytest.raises(EmbedderError, match="of 3 numbers, and of 2 before"):
        embedder.embed(["a"])


# -- identity, window ------------------------------------------------------------------------------


class Remote:
    """Somebody's client, with a secret."""

    def __init__(self, model: str, **more: Any) -> None:
        self.model = model
        self.api_key = "sk-very-secret"
        self.headers = {"Authorization": "Bearer very-secret"}
        self.__dict__.update(more)

    def __call__(self, texts: list[str]) -> Any:
        return of_many(texts)

    def embed(self, texts: list[str]) -> Any:
        """As a bound method."""
        return of_many(texts)


def test_identities_tell_models_apart_and_no_secrets() -> None:
    """Class and model are in the identity; keys and headers are not."""
    targets = [
        Remote("small"),
        Remote("large"),
        Remote("large", dimensions=256),
        Remote("small").embed,
        functools.partial(of_many, model="small", api_key="sk-very-secret"),
        of_many,
        Counted(of_many),
        Asymmetric(),
        Llama(model_name="llama"),
        MockEmbedding(embed_dim=4),
    ]
    found = [adapted(target) for target in targets]
    identities = [each.identity for each in found if each]
    assert len(set(identities)) == len(targets)
    assert not [identity for identity in identities if "secret" in identity]
    assert "model=large, dimensions=256" in identities[2]


def test_odd_fields_are_left_out() -> None:
    """Properties that raise, objects and very long values say nothing."""

    class Odd(Remote):
        @property
        def model_name(self) -> str:
            raise RuntimeError("not connected")

        def max_tokens(self) -> int:
            raise RuntimeError("not connected")

    odd = Odd("x" * 1000, deployment=object())
    assert described(odd) == f"{__name__}.{Odd.__qualname__}"
    assert CallableEmbedder(odd)._longest == 2 * 512


def test_the_user_may_name_it() -> None:
    """`identity=` and `window=` are taken as they are."""
    embedder = CallableEmbedder(of_many, identity="our model, version 3", window=10)
    assert embedder.identity == "our model, version 3"
    assert embedder.fits("x" * 20)
    assert not embedder.fits("x" * 21)
    assert not embedder.fits("é" * 11)
    with pytest.raises(ConfigError, match="window: 0 was given"):
        CallableEmbedder(of_many, window=0)


@pytest.mark.parametrize(
    ("fields", "window"),
    [({}, 512), ({"max_length": 128}, 128), ({"embedding_ctx_length": 8191}, 8191)],
)
def test_windows_are_taken_from_what_is_told(fields: dict[str, Any], window: int) -> None:
    """A limit that the object names counts; otherwise that of most models."""
    assert CallableEmbedder(Remote("m", **fields))._longest == 2 * window


def test_a_wrapped_models_window_is_found() -> None:
    """Wrappers keep the model in a field."""

    class Inner:
        max_seq_length = 64

    assert CallableEmbedder(Remote("m", _client=Inner()))._longest == 2 * 64


@pytest.mark.parametrize("target", [42, "text", object(), dict, None])
def test_what_embeds_nothing_is_not_adapted(target: Any) -> None:
    """Anything else is left to the caller to refuse."""
    assert adapted(target) is None


def test_recognition_imports_no_framework() -> None:
    """An object is recognised by its methods; no framework is imported for it."""
    code = """
        import sys
        from semcache_core.embedders import make_embedder

        class Mine:
            def embed_query(self, text): return [1.0, 2.0]
            def embed_documents(self, texts): return [[1.0, 2.0] for _ in texts]
            async def aembed_query(self, text): return [1.0, 2.0]
            async def aembed_documents(self, texts): return [[1.0, 2.0] for _ in texts]

        print(make_embedder(Mine()).embed(["a"]).shape, sorted(sys.modules.keys() & {
            "langchain_core", "llama_index", "chromadb", "torch", "onnxruntime", "tokenizers"}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 2) []"


def test_the_background_loop_is_kept_closed_and_started_again() -> None:
    """One loop serves all calls until it is closed; closing twice does no harm."""
    loop = BackgroundLoop()
    assert loop.run(_running_loop()) is loop.run(_running_loop())
    first = loop.run(_running_loop())
    loop.close()
    loop.close()
    assert first.is_closed()
    assert loop.run(_running_loop()) is not first
    loop.close()


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_a_busy_background_loop_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What blocks the loop for long does not hold up the interpreter's end."""
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    loop, gate = BackgroundLoop(), threading.Event()
    running = loop.run(_running_loop())
    thread = loop._thread
    running.call_soon_threadsafe(gate.wait, 20)
    loop.close()
    assert not running.is_closed()
    gate.set()
    assert thread is not None
    thread.join(20)
    running.close()


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    """The background loop's thread does not exist in a forked child."""
    code = """
        import asyncio, os, sys
        from semcache_core.embedders._background import BACKGROUND

        async def answer(): return 42

        assert BACKGROUND.run(answer()) == 42
        pid = os.fork()
        if pid == 0:
            os._exit(BACKGROUND.run(answer()) != 42)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], timeout=60, check=False
    )
    assert done.returncode == 0


def test_the_parents_loop_is_left_alone_by_a_child() -> None:
    """In the child the loop is dropped without being closed: it is the parent's, too."""
    loop = BackgroundLoop()
    parents, thread = loop.run(_running_loop()), loop._thread
    loop.in_forked_child()
    assert not parents.is_closed()
    assert loop.run(_running_loop()) is not parents
    loop.close()
    parents.call_soon_threadsafe(parents.stop)
    assert thread is not None
    thread.join(20)
    parents.close()
