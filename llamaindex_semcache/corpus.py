"""Which version of the documents an answer was made from.

An index that keeps its nodes in its docstore is known by what they say, so its version outlives a
restart, and a rebuilt index of the same documents has the same one. Where the nodes are in a vector
store only, nothing can be seen of them: such an index has a version for this process, which every
change that is made through the index moves on. Changes that go past the index (a pipeline that
writes to the vector store, another process) are seen by neither: there the user gives a version.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.data_structs.data_structs import IndexGraph, IndexList, KeywordTable
from llama_index.core.indices.base import BaseIndex
from llama_index.core.indices.vector_store.base import VectorStoreIndex
from llama_index.core.vector_stores.simple import SimpleVectorStore

from semcache_core.errors import ConfigError, UncacheableError
from semcache_core.keys import digest

Corpus = str | Callable[[], str] | BaseIndex[Any] | Sequence[BaseIndex[Any]]

_WRONG = (
    "corpus: {!r} was given; give a version (a str, or a callable that returns one), an index, or "
    "a list of them"
)
_CHANGES = (
    "build_index_from_nodes",
    "insert",
    "insert_nodes",
    "delete",
    "delete_nodes",
    "delete_ref_doc",
    "update",
    "update_ref_doc",
    "refresh",
    "refresh_ref_docs",
)


class IndexVersion:
    """The version of one index. Raises `UncacheableError` while the index is being changed."""

    def __init__(self, index: BaseIndex[Any]) -> None:
        self._lock = Lock()
        self._changing = 0
        self._changes = 0
        self._process = uuid4().hex
        self._known: str | None = None
        for name in _CHANGES:
            for method in (name, f"a{name}"):
                if callable(getattr(index, method, None)):
                    setattr(index, method, self._watched(getattr(index, method)))

    def __call__(self, index: BaseIndex[Any]) -> str:
        with self._lock:
            if self._changing:
                raise UncacheableError("the index is being changed")
            if self._known is None:
                found = _contents(index)
                self._known = found or digest(self._process, self._changes)
            return self._known

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def changes(*args: Any, **kwargs: Any) -> Any:
            self._begin()
            try:
                return method(*args, **kwargs)
            finally:
                self._end()

        @functools.wraps(method)
        async def achanges(*args: Any, **kwargs: Any) -> Any:
            self._begin()
            try:
                return await method(*args, **kwargs)
            finally:
                self._end()

        return achanges if inspect.iscoroutinefunction(method) else changes

    def _begin(self) -> None:
        with self._lock:
            self._changing += 1
            self._changes += 1
            self._known = None

    def _end(self) -> None:
        with self._lock:
            self._changing -= 1
            self._known = None


_versions: WeakKeyDictionary[BaseIndex[Any], IndexVersion] = WeakKeyDictionary()


def version_of(index: BaseIndex[Any]) -> str:
    """The index's version as it is now; the first call begins to watch the index."""
    if index not in _versions:
        _versions[index] = IndexVersion(index)
    return _versions[index](index)


def versioned(corpus: Corpus | None, engine: Any) -> Callable[[], str]:
    """What tells the version of an engine's documents; raises `ConfigError` if nothing can."""
    if isinstance(corpus, str):
        return lambda: corpus
    if isinstance(corpus, BaseIndex):
        return _of_indices([corpus])
    if callable(corpus):
        return corpus
    if corpus is None:
        return _of_indices(_indices_of(engine))
    if isinstance(corpus, list | tuple) and corpus:
        return _of_indices([_index(one) for one in corpus])
    raise ConfigError(_WRONG.format(corpus))


def _index(one: Any) -> BaseIndex[Any]:
    if not isinstance(one, BaseIndex):
        raise ConfigError(_WRONG.format(one))
    return one


def _of_indices(indices: Sequence[BaseIndex[Any]]) -> Callable[[], str]:
    for index in indices:
        version_of(index)
    return lambda: digest([version_of(index) for index in indices])


def _indices_of(engine: Any) -> list[BaseIndex[Any]]:
    parts = list(walk(engine))
    indices = [part for part in parts if isinstance(part, BaseIndex)]
    blind = [p for p in parts if isinstance(p, BaseRetriever) and not _sees_an_index(p)]
    if blind or not indices:
        what = type(blind[0] if blind else engine).__name__
        raise ConfigError(
            f"corpus: the index behind {what} cannot be found, so nobody would notice when its "
            "documents change; give corpus=, an index, or a version that you change with them"
        )
    return indices


def _sees_an_index(retriever: BaseRetriever) -> bool:
    return any(isinstance(part, BaseIndex) for part in walk(retriever))


def walk(root: Any) -> Iterator[Any]:
    """An engine's parts, parts of parts, and so on, each once; indices are not looked into."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if not isinstance(part, BaseIndex):
            waiting.extend(_parts(part))


def _parts(whole: Any) -> Iterable[Any]:
    if isinstance(whole, list | tuple):
        return whole
    if isinstance(whole, dict):
        return whole.values()
    ours = type(whole).__module__.startswith("llama_index.") or isinstance(whole, BaseRetriever)
    return list(vars(whole).values()) if ours and hasattr(whole, "__dict__") else ()


def _contents(index: BaseIndex[Any]) -> str | None:
    """A digest of what the index's nodes say; None if they cannot be read."""
    ids = _node_ids(index)
    if not ids:
        return None
    nodes = [index.docstore.get_document(one, raise_error=False) for one in ids]
    if any(node is None for node in nodes):
        return None
    return digest(type(index).__name__, sorted(node.hash for node in nodes if node is not None))


def _node_ids(index: BaseIndex[Any]) -> list[str]:
    """The nodes of an index, where its kind keeps account of them; empty if nowhere."""
    if type(index) is VectorStoreIndex and isinstance(index.vector_store, SimpleVectorStore):
        # And not its `nodes_dict`, which keeps the nodes that were deleted one by one.
        return list(index.vector_store.data.embedding_dict)
    struct = index.index_struct
    if isinstance(struct, IndexGraph):
        return list(struct.all_nodes.values())
    if isinstance(struct, KeywordTable):
        return list(struct.node_ids)
    return list(struct.nodes) if isinstance(struct, IndexList) else []
