"""Others' embedders as ours, recognised by what they can do: no framework is imported."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semcache_core.embedders._background import BACKGROUND
from semcache_core.embedders._foreign import ForeignEmbedder, each
from semcache_core.embedders.encoder import EncoderEmbedder
from semcache_core.steps import Flow, Step, blocking, step

_SAME = 0.9999
"""Cosine from which a text's vectors as a query and as a document count as one."""


class QueryEmbedder(ForeignEmbedder):
    """An embedder with one way for queries and another, in batches, for documents.

    What the cache embeds are questions, so the queries' way it is, for stored questions and new
    ones alike. Batches go the documents' way only after one text has shown that the two are the
    same; with models that put different instructions in front of them they are not.
    """

    one: str
    many: str

    def __init__(self, target: Any, **options: Any) -> None:
        super().__init__(target, **options)
        self._one, self._aone = getattr(target, self.one), getattr(target, f"a{self.one}")
        self._many, self._amany = getattr(target, self.many), getattr(target, f"a{self.many}")
        self._symmetric: bool | None = None

    def _vectors(self, texts: list[str]) -> Flow[Any]:
        if len(texts) > 1 and self._symmetric is not False:
            rows = yield from step(self._many, self._amany, texts)
            if self._symmetric is None:
                as_query = yield from step(self._one, self._aone, texts[0])
                self._symmetric = _same(as_query, rows[0])
            if self._symmetric:
                return rows
        return (yield from each(self._one, self._aone, texts))


class LangChainEmbedder(QueryEmbedder):
    """Any `langchain_core.embeddings.Embeddings`."""

    one, many = "embed_query", "embed_documents"

    @property
    def native_async(self) -> bool:  # type: ignore[override]  # constant elsewhere
        """The base class's own way is a worker thread, and then threads share batches better."""
        method = getattr(type(self._target), "aembed_query", None)
        return not getattr(method, "__module__", "").startswith("langchain_core.embeddings.emb")


class LlamaIndexEmbedder(QueryEmbedder):
    """Any `llama_index.core.base.embeddings.base.BaseEmbedding`."""

    one, many = "get_query_embedding", "get_text_embedding_batch"
    native_async = True


class ChromaEmbedder(ForeignEmbedder):
    """Any embedding function of Chroma's, asked for queries."""

    def __init__(self, target: Any, **options: Any) -> None:
        super().__init__(target, **options)
        made = _undefaulted(target)
        self._call: Callable[[list[str]], Any] = getattr(made, "embed_query", made)

    def _vectors(self, texts: list[str]) -> Flow[Any]:
        return blocking(self._call, texts)


class CallableEmbedder(ForeignEmbedder):
    """A function, synchronous or not, of a list of texts (to a vector each) or of one text.

    Which of the two it is, its annotation says, or else the first call: it is tried with a list.
    """

    def __init__(self, target: Callable[..., Any], **options: Any) -> None:
        super().__init__(target, **options)
        self.native_async = _is_async(target)
        self._takes_list = _takes_list(target)

    def _vectors(self, texts: list[str]) -> Flow[Any]:
        if self._takes_list is None:
            return (yield from self._tried(texts))
        if self._takes_list:
            return (yield from self._called(texts))
        return (yield from self._each(texts))

    def _tried(self, texts: list[str]) -> Flow[Any]:
        refused: Exception | None = None
        rows: Any = None
        try:
            rows = yield from self._called(texts)
        except Exception as error:  # noqa: BLE001  # how a function of one text meets a list
            refused = error
        if refused is None and _is_matrix(rows, len(texts)):
            self._takes_list = True
            return rows
        try:
            found = yield from self._each(texts)
        except Exception as error:
            raise refused or error from error
        if not _is_matrix(found, len(texts)) and refused is None:
            return rows  # neither way gives vectors: the check names what a list gave
        self._takes_list = False
        return found

    def _each(self, texts: list[str]) -> Flow[list[Any]]:
        rows = yield from each(self._sync, self._async, texts)
        return [np.ravel(row) if _shape(row)[:1] == (1,) else row for row in rows]

    def _called(self, argument: list[str]) -> Flow[Any]:
        return (yield Step(lambda: self._sync(argument), lambda: self._async(argument)))

    def _sync(self, argument: Any) -> Any:
        found = self._target(argument)
        return BACKGROUND.run(_awaited(found)) if inspect.isawaitable(found) else found

    async def _async(self, argument: Any) -> Any:
        if self.native_async:
            return await self._target(argument)
        found = await asyncio.to_thread(self._target, argument)
        return await found if inspect.isawaitable(found) else found


def adapted(target: Any, **options: Any) -> ForeignEmbedder | None:
    """The adapter for this object; None if it is nothing that embeds."""
    for needed, adapter in _RECOGNISED:
        if all(callable(getattr(target, name, None)) for name in needed):
            return adapter(target, **options)
    if callable(target) and not isinstance(target, type):
        return CallableEmbedder(target, **options)
    return None


_RECOGNISED: Sequence[tuple[tuple[str, ...], Callable[..., ForeignEmbedder]]] = (
    (("get_query_embedding", "get_text_embedding_batch"), LlamaIndexEmbedder),
    (("embed_query", "embed_documents", "aembed_query"), LangChainEmbedder),
    (("__call__", "build_from_config", "get_config", "name"), ChromaEmbedder),
    (("encode", "get_sentence_embedding_dimension"), EncoderEmbedder),
)


async def _awaited(found: Any) -> Any:
    return await found


def _undefaulted(target: Any) -> Any:
    """Chroma's default loads its model anew in every call; what it stands for keeps it."""
    if type(target).__name__ != "DefaultEmbeddingFunction":
        return target
    from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

    return ONNXMiniLM_L6_V2()


def _same(a: Any, b: Any) -> bool:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape:
        return False
    return bool(x @ y > _SAME * np.linalg.norm(x) * np.linalg.norm(y))


def _is_async(target: Any) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        getattr(target, "__call__", None)  # noqa: B004  # the method, not whether there is one
    )


def _takes_list(target: Any) -> bool | None:
    """What the annotation of its first parameter says, if anything."""
    try:
        function = target if inspect.isroutine(target) else target.__call__
        hints = typing.get_type_hints(function)
        first = next(iter(inspect.signature(function).parameters))
    except Exception:  # noqa: BLE001  # no signature, names that cannot be resolved
        return None
    hint = hints.get(first)
    if hint is str:
        return False
    return True if typing.get_origin(hint) in (list, Sequence) else None


def _is_matrix(rows: Any, count: int) -> bool:
    shape = _shape(rows)
    return len(shape) == 2 and shape[0] == count


def _shape(rows: Any) -> tuple[int, ...]:
    try:
        return np.shape(rows)
    except ValueError:  # rows of different lengths
        return ()
