"""Any of LlamaIndex' vector stores as the index of large scopes: `index=QdrantVectorStore(...)`.

The store should be for the cache alone. Its dimension is the embedder's, its metric whatever ranks
unit vectors rightly (cosine, inner product, Euclidean): similarities are computed anew from the
record, so that neither the metric nor what the store compresses matters.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from semcache_core.errors import ConfigError, StoreError, StoreReadOnly
from semcache_core.indexes.inspection import SAMPLE
from semcache_core.indexes.large import IndexFailed, State
from semcache_core.indexes.lease import Lease
from semcache_core.indexes.salt import tag
from semcache_core.models import Change, Entry, Neighbour, Vector
from semcache_core.protocols import EntryStore

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

_TAG = 16
_SPARE, _MANY = 4, 10
_LEAST_BLOAT = 10_000
_PROBED = 8
_STATE = "index.llamaindex"


def scrambled(scope: str, vector: Vector) -> Vector:
    """The vector with the signs of half its numbers changed, as the scope says.

    Within a scope all inner products stay as they are; between scopes they become those of random
    vectors, with mean 0 and standard deviation of about sqrt(3 / dimension). So a search stays in
    its scope by itself, in stores that know no filters too, and the dimension is the embedder's.
    """
    bits = hashlib.shake_256(scope.encode()).digest((vector.size + 7) // 8)
    signs = np.unpackbits(np.frombuffer(bits, np.uint8))[: vector.size].astype(np.float32)
    made: Vector = vector * (signs * 2 - 1)
    return made


class VectorStoreIndex:
    """A `LargeIndex` over a vector store: one generation, whose name is in its vectors and ids.

    Stores that return no texts (FAISS) give ids of their own, which are known to this process only,
    and cannot delete: what is deleted there is passed over until the index is built anew.
    """

    def __init__(
        self, store: BasePydanticVectorStore, record: EntryStore, generation: str, state: State
    ) -> None:
        self._store, self._record = store, record
        self.kind = type(store).__name__
        self.generation, self.state = generation, state
        self._lock = threading.RLock()  # hardly any store is safe for threads
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._live = 0

    def apply(self, changes: Sequence[Change]) -> None:
        latest = {tag(change.scope) + change.key: change for change in changes}
        nodes = [self._node(name, change) for name, change in latest.items()]
        with self._lock, translated("write to"):
            self._delete(list(latest))
            if wanted := [node for node in nodes if node is not None]:
                self._add(wanted)

    def nearest(self, scope: str, vector: Vector, k: int) -> list[Neighbour]:
        with self._lock:
            found = self._query(scope, vector, k + _SPARE)
            if len(found) < k and self._live > k + _SPARE:
                found = self._query(scope, vector, _MANY * k)
        rows = self._record.get(found)
        near = [
            Neighbour(key, float(row.vector @ vector))
            for key in found
            if (row := rows.get(key)) is not None and row.vector is not None and row.scope == scope
        ]
        return sorted(near, key=lambda one: -one.similarity)[:k]

    def count(self) -> int:
        return self._live

    def bloated(self) -> bool:
        return self.state.dead > max(_LEAST_BLOAT, self._live)

    def missing(self, entries: Iterable[Entry]) -> int:
        return sum(
            entry.key not in {near.key for near in self.nearest(entry.scope, entry.vector, _PROBED)}
            for entry in entries
            if entry.vector is not None
        )

    def save(self, seq: int, scopes: Iterable[str], record: str = "") -> None:
        self.state = replace(self.state, seq=seq, scopes=tuple(scopes), record=record)
        told = asdict(self.state) | {"generation": self.generation, "live": self._live}
        self._record.set_meta(_STATE, json.dumps(told))

    def reload(self) -> State:
        told = noted(self._record)
        if told is None or told["generation"] != self.generation:
            raise IndexFailed("the index was made anew by another process")
        self.take(told)
        return self.state

    def take(self, told: dict[str, Any]) -> None:
        """Go on from what was noted."""
        self._live = int(told["live"])
        names = ("embedder", "seq", "dead", "record", "format")
        self.state = State(**{name: told[name] for name in names}, scopes=tuple(told["scopes"]))

    def remove(self) -> None:
        """Delete all of this generation, where the store can."""
        with self._lock, translated("clear"):
            self._names, self._ids = {}, {}
            if not self._live:
                return
            self._live = 0
            with suppress(NotImplementedError):
                self._store.delete(self.generation)
                return
            if callable(reset := getattr(self._store.client, "reset", None)):
                reset()  # FAISS

    def _node(self, name: str, change: Change) -> TextNode | None:
        from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

        if change.entry is None or change.entry.vector is None:
            return None
        vector = scrambled(self.generation + change.scope, change.entry.vector)
        return TextNode(
            id_=self._id(name),
            text=name,
            embedding=vector.tolist(),
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=self.generation)},
        )

    def _id(self, name: str) -> str:
        """A UUID, as some stores take nothing else; the same for the same entry."""
        return str(uuid.uuid5(uuid.UUID(self.generation), name))

    def _add(self, nodes: list[TextNode]) -> None:
        ids = self._store.add(nodes)
        self._live += len(nodes)
        if not self._store.stores_text:
            for given, node in zip(ids, nodes, strict=True):
                self._names[given], self._ids[node.text] = node.text, given

    def _delete(self, names: list[str]) -> None:
        if not self._store.stores_text:
            known = [self._ids.pop(name) for name in names if name in self._ids]
            for given in known:
                del self._names[given]
            self._died(len(known))
            return
        if self._live and (held := self._held([self._id(name) for name in names])):
            self._store.delete_nodes(node_ids=held)
            self._died(len(held))

    def _held(self, ids: list[str]) -> list[str]:
        """Those that are there; to delete what is not there costs some stores as much."""
        return [node.node_id for node in self._store.get_nodes(node_ids=ids)]

    def _died(self, count: int) -> None:
        self._live -= count
        self.state = replace(self.state, dead=self.state.dead + count)

    def _query(self, scope: str, vector: Vector, count: int) -> list[str]:
        """Keys of the scope's entries among the nearest `count`."""
        from llama_index.core.vector_stores.types import VectorStoreQuery

        if not self._live:
            return []
        wanted = scrambled(self.generation + scope, vector).tolist()
        # Dead rows of stores that cannot delete stand among the nearest.
        spare = 0 if self._store.stores_text else min(self.state.dead, count)
        with translated("search"):
            found = self._store.query(
                VectorStoreQuery(query_embedding=wanted, similarity_top_k=count + spare)
            )
        if self._store.stores_text:
            names: Iterable[str] = [node.get_content() for node in found.nodes or ()]
        else:
            names = [self._names[one] for one in found.ids or () if one in self._names]
        mine = tag(scope)
        return list(dict.fromkeys(name[_TAG:] for name in names if name.startswith(mine)))


class VectorStoreHome:
    """A vector store of the user's: all processes that reach it search, one writes.

    What is in it stands in the record. Implements `semcache_core.indexes.homes.Home`.
    """

    def __init__(self, store: BasePydanticVectorStore, record: EntryStore, embedder: str) -> None:
        if not all(callable(getattr(store, name, None)) for name in ("add", "query", "delete")):
            raise ConfigError(
                f"index: {type(store).__name__} was given; give a vector store of LlamaIndex"
            )
        self._store, self._record, self._embedder = store, record, embedder
        self._lease = Lease(record, "index.writer")
        self._mine: VectorStoreIndex | None = None
        self._lost = False

    @property
    def open_to_readers(self) -> bool:
        return self._store.stores_text

    def exists(self) -> bool:
        return not self._lost and self._store.stores_text and noted(self._record) is not None

    def acquire(self) -> bool:
        try:
            return not self._lost and self._lease.acquire()
        except StoreReadOnly:
            return False

    def open(self) -> VectorStoreIndex | None:
        told = noted(self._record)
        if self._lost or told is None or told["embedder"] != self._embedder:
            return None
        if self._mine is not None and self._mine.generation == told["generation"]:
            self._mine.take(told)
            return self._mine
        index = self._index(told["generation"])
        index.take(told)
        if not self._store.stores_text or not self._is_whole(index):
            return None  # it was in another process's memory, or somebody emptied the store
        self._mine = index
        return index

    def create(self) -> VectorStoreIndex:
        told = noted(self._record)
        if told is not None and self._mine is None:
            self._leave(told)
        return self._index(str(uuid.uuid4()))

    def publish(self, index: VectorStoreIndex) -> None:
        self._mine = index

    def is_current(self, index: VectorStoreIndex) -> bool:
        told = noted(self._record)
        return told is not None and told["generation"] == index.generation

    def looked_after(self, index: VectorStoreIndex) -> None:
        """Nothing to do: its files are the store's."""

    def retire(self, index: VectorStoreIndex) -> None:
        if self.is_current(index):
            self._record.set_meta(_STATE, "")
        if self._mine is index:
            self._mine = None
        index.remove()

    def release(self, index: VectorStoreIndex, clean: bool) -> None:
        """Nothing to do: the store is the user's, and stays open."""

    def close(self) -> None:
        with suppress(StoreError):
            self._lease.release()

    def after_fork(self, inherited: object) -> None:
        """The store's connections are the parent's: the child scans."""
        self._lost = True

    def _is_whole(self, index: VectorStoreIndex) -> bool:
        scopes = index.state.scopes
        oldest = (one for scope in scopes for one in islice(self._record.scope(scope), SAMPLE))
        sample = [one for one in islice(oldest, SAMPLE) if one.seq <= index.state.seq]
        try:
            return not sample or index.missing(sample) <= len(sample) // 2
        except IndexFailed:
            # Some raise when their collection is gone. One that cannot be written either is down,
            # and will have the index when it is back.
            trial = self._index(str(uuid.uuid4()))
            trial.apply([Change(one.seq, one.key, one.scope, one) for one in sample[:1]])
            trial.remove()
            return False

    def _index(self, generation: str) -> VectorStoreIndex:
        return VectorStoreIndex(self._store, self._record, generation, State(self._embedder))

    def _leave(self, told: dict[str, Any]) -> None:
        """Delete what a former process left and this one cannot use."""
        left = self._index(told["generation"])
        left.take(told)
        with suppress(IndexFailed):
            left.remove()


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever a vector store raises into an `IndexFailed`."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise IndexFailed(f"the vector store failed to {doing} its index: {error}") from error


def noted(record: EntryStore) -> dict[str, Any] | None:
    """What was noted of the index, if it can be read."""
    try:
        told: dict[str, Any] = json.loads(record.meta(_STATE) or "null")
        return told if told and {"generation", "live", "scopes", "seq"} <= told.keys() else None
    except (ValueError, AttributeError):
        return None
