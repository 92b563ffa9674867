"""One Chroma collection as a vector index.

Identifiers are a tag of the scope and the entry's key; vectors are salted with their scope
(`salt`). Nothing else is kept there: answers belong to the record, metadata of each row would make
writes dearer, and documents are indexed for full-text search whether one wants it or not.

A deleted entry is deleted, and not overwritten by a later one under a recycled identifier: to
overwrite a vector costs Chroma 6 ms of processor time, to delete one and add another 1.4 ms.
The price is an index that grows, which `bloated` tells; building it anew costs 0.6 ms a vector.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import numpy as np

from semcache_core.errors import StoreError
from semcache_core.indexes.large import FORMAT, IndexFailed, State
from semcache_core.indexes.salt import salted, similarity, tag
from semcache_core.models import Change, Entry, Neighbour, Vector

_SPACE = "cosine"
_STATE = "semcache"
_BATCH = 64
"""Vectors in one write. Chroma holds the interpreter's lock meanwhile, for about 40 ms."""
_TAG = 16
_SPARE, _MANY = 4, 10
_LEAST_BLOAT = 10_000
_SAME = 1e-5
_PROBED = 8


class ChromaFailed(IndexFailed):
    """Chroma, or the collection in it, cannot be used."""


class ChromaIndex:
    """A `VectorIndex` over one collection of a `chromadb` client, which the caller closes.

    The collection is made if it does not exist. Raises `ChromaFailed` for whatever Chroma
    raises, and for a collection of another configuration, embedder or format.
    """

    kind = "chroma"

    def __init__(self, client: Any, name: str, embedder: str = "") -> None:
        self._client, self._name = client, name
        self._collection = self._open(State(embedder))
        self.state = self._checked_state(embedder)

    def apply(self, changes: Sequence[Change]) -> None:
        latest = {_id(change): change for change in changes}
        vectors = {
            name: vector
            for name, change in latest.items()
            if (vector := _vector(change)) is not None
        }
        with translated("write to"):
            for part in _chunks(name for name in latest if name not in vectors):
                self._delete(part)
            for part in _chunks(vectors):
                self._write({name: vectors[name] for name in part})

    def nearest(self, scope: str, vector: Vector, k: int) -> list[Neighbour]:
        found, wanted = self._query(scope, vector, k + _SPARE), tag(scope)
        ours = [near for near in found if near[0].startswith(wanted)]
        if len(ours) < k and len(found) == k + _SPARE:
            # Others' nearer neighbours stand in front of what is far from the question anyhow.
            found = self._query(scope, vector, _MANY * k)
            ours = [near for near in found if near[0].startswith(wanted)]
        return [Neighbour(name[_TAG:], similarity(distance)) for name, distance in ours[:k]]

    def _query(self, scope: str, vector: Vector, count: int) -> list[tuple[str, float]]:
        with translated("search"):
            found = self._collection.query(
                query_embeddings=salted(scope, vector[None]),
                n_results=count,
                include=["distances"],
            )
        return list(zip(found["ids"][0], found["distances"][0], strict=True))

    def clear(self) -> None:
        with translated("clear"):
            self._client.delete_collection(self._name)
        self._collection = self._open(State(self.state.embedder))
        self.state = State(self.state.embedder)

    def close(self) -> None:
        """Nothing to do: the client is the caller's."""

    def count(self) -> int:
        """Number of vectors."""
        with translated("count"):
            return int(self._collection.count())

    def bloated(self) -> bool:
        """Whether it has grown so much by deletions that it should be built anew."""
        return self.state.dead > max(_LEAST_BLOAT, self.count())

    def missing(self, entries: Iterable[Entry]) -> int:
        """How many of the entries are not found when their own vector is searched for.

        Rows that Chroma has and never finds are what a kill in the middle of its writing leaves.
        """
        return sum(
            entry.key not in {near.key for near in self.nearest(entry.scope, entry.vector, _PROBED)}
            for entry in entries
            if entry.vector is not None
        )

    def save(self, seq: int, scopes: Iterable[str], record: str = "") -> None:
        """Note how far it is complete, for which scopes, and of which record."""
        self.state = replace(self.state, seq=seq, scopes=tuple(scopes), record=record)
        with translated("write to"):
            self._collection.modify(metadata=_metadata(self.state))

    def reload(self) -> State:
        """The state as another process may have noted it."""
        with translated("read"):
            self._collection = self._client.get_collection(self._name, embedding_function=None)
        self.state = self._checked_state(self.state.embedder)
        return self.state

    def _open(self, state: State) -> Any:
        with translated("open"):
            return self._client.get_or_create_collection(
                self._name,
                embedding_function=None,  # else Chroma downloads a model
                configuration={"hnsw": {"space": _SPACE}},
                metadata=_metadata(state),
            )

    def _checked_state(self, embedder: str) -> State:
        """Get-or-create overlooks that what it got is not what it would have created."""
        configuration = self._collection.configuration_json
        kind = configuration.get("hnsw") or configuration.get("spann") or {}  # spann: Chroma Cloud
        try:
            state = State(**json.loads((self._collection.metadata or {})[_STATE]))
        except (KeyError, TypeError, ValueError) as error:
            raise ChromaFailed(
                f"the Chroma collection {self._name} is none of semcache's"
            ) from error
        if (kind.get("space"), state.format, state.embedder) != (_SPACE, FORMAT, embedder):
            raise ChromaFailed(
                f"the Chroma collection {self._name} was made in another way: space"
                f" {kind.get('space')!r}, format {state.format}, {state.embedder!r}"
            )
        return replace(state, scopes=tuple(state.scopes))

    def _write(self, vectors: dict[str, Vector]) -> None:
        """Write those that are not there already: to rewrite a vector is what costs most."""
        held = self._collection.get(ids=list(vectors), include=["embeddings"])
        for name, vector in zip(held["ids"], held["embeddings"], strict=True):
            if np.allclose(vector, vectors[name], atol=_SAME):
                del vectors[name]
        if vectors:
            self._collection.upsert(ids=list(vectors), embeddings=np.stack(list(vectors.values())))

    def _delete(self, names: list[str]) -> None:
        """Delete those that are there: Chroma logs a deletion of what is not there as well."""
        if held := self._collection.get(ids=names, include=[])["ids"]:
            self._collection.delete(ids=held)
            self.state = replace(self.state, dead=self.state.dead + len(held))


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what Chroma raises into a `ChromaFailed`: its own errors, httpx's, and Rust's panics."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, StoreError):
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        raise ChromaFailed(f"Chroma failed to {doing} its collection: {error}") from error


def _metadata(state: State) -> dict[str, str]:
    return {_STATE: json.dumps(asdict(state))}


def _id(change: Change) -> str:
    return tag(change.scope) + change.key


def _vector(change: Change) -> Vector | None:
    if change.entry is None or change.entry.vector is None:
        return None
    row: Vector = salted(change.scope, change.entry.vector[None])[0]
    return row


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while part := list(islice(rest, _BATCH)):
        yield part
