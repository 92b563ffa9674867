"""What every vector index must do, run over each that can be had here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings
from store_values import entry, near, unit
from vector_stores import STORES

from llamaindex_semcache.vector_store import VectorStoreHome
from semcache_core.entries.memory import MemoryEntries
from semcache_core.indexes.chroma import ChromaIndex
from semcache_core.indexes.scan import ScanIndex
from semcache_core.models import Change, Neighbour, Vector
from semcache_core.protocols import VectorIndex

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

KINDS = ["scan", "chroma-disk", "chroma-memory", *STORES]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One client of each kind for all tests."""
    settings = Settings(anonymized_telemetry=False)
    made = {
        "chroma-disk": chromadb.PersistentClient(tmp_path_factory.mktemp("chroma"), settings),
        "chroma-memory": chromadb.EphemeralClient(Settings(anonymized_telemetry=False)),
    }
    yield made
    for client in made.values():
        client.close()


class OverVectorStore:
    """An index over a vector store of LlamaIndex, with a record that has what it is told."""

    def __init__(self, store: Any) -> None:
        self._record = MemoryEntries()
        self._home = VectorStoreHome(store, self._record, "model")
        self._index = self._home.create()

    def apply(self, changes: Sequence[Change]) -> None:
        """Write it to the record first, as a store does."""
        for change in changes:
            if change.entry is None:
                self._record.delete([change.key])
            else:
                self._record.put([change.entry])
        self._index.apply(changes)

    def nearest(self, scope: str, vector: Vector, k: int) -> list[Neighbour]:
        return self._index.nearest(scope, vector, k)

    def clear(self) -> None:
        self._record.clear()
        self._home.retire(self._index)
        self._index = self._home.create()

    def close(self) -> None:
        self._home.close()


@pytest.fixture(params=KINDS)
def index(
    request: pytest.FixtureRequest, clients: dict[str, Any], tmp_path: Path
) -> Iterator[VectorIndex]:
    """An empty index of each kind."""
    if request.param in STORES:
        with STORES[request.param](tmp_path, 24 if "many" in request.node.name else 8) as store:
            made: VectorIndex = OverVectorStore(store)
            yield made
            made.close()
        return
    if request.param == "scan":
        made = ScanIndex(lambda scope: [])
    else:
        made = ChromaIndex(clients[request.param], f"test-{uuid.uuid4()}", "model")
    made.nearest("scope", unit(0), 1)  # from now on a scan follows the scope
    made.nearest("other", unit(0), 1)
    yield made
    made.close()


def put(seq: int, key: str, vector: Vector | None, scope: str = "scope") -> Change:
    """A line of the log: an entry written."""
    return Change(seq, key, scope, entry(key, vector=vector, scope=scope))


def gone(seq: int, key: str, scope: str = "scope") -> Change:
    """A line of the log: a key deleted."""
    return Change(seq, key, scope)


def found(index: VectorIndex, vector: Vector, k: int = 5, scope: str = "scope") -> list[str]:
    """The keys nearest to a vector."""
    return [neighbour.key for neighbour in index.nearest(scope, vector, k)]


def test_fits_the_protocol(index: VectorIndex) -> None:
    """It has every method of the seam."""
    assert isinstance(index, VectorIndex)


def test_empty(index: VectorIndex) -> None:
    """Nothing is found where nothing is."""
    assert index.nearest("scope", unit(1), 5) == []
    assert index.nearest("unheard of", unit(1), 5) == []


def test_nearest_first_with_exact_similarity(index: VectorIndex) -> None:
    """The order and the cosine are those of the vectors that were given."""
    query = unit(1)
    cosines = [0.99, -0.5, 0.7, 0.0, 0.9]
    index.apply([put(i + 1, f"k{i}", near(query, c, i)) for i, c in enumerate(cosines)])
    neighbours = index.nearest("scope", query, 5)
    assert [n.key for n in neighbours] == ["k0", "k4", "k2", "k3", "k1"]
    assert [n.similarity for n in neighbours] == pytest.approx(
        [0.99, 0.9, 0.7, 0.0, -0.5], abs=1e-5
    )
    assert found(index, query, k=2) == ["k0", "k4"]


def test_replace(index: VectorIndex) -> None:
    """A key's new vector takes the place of the old one."""
    index.apply([put(1, "a", unit(1)), put(2, "b", unit(2))])
    index.apply([put(3, "a", unit(3))])
    assert index.nearest("scope", unit(3), 1)[0].similarity == pytest.approx(1.0, abs=1e-5)
    assert index.nearest("scope", unit(1), 1)[0].similarity < 0.99
    assert sorted(found(index, unit(1))) == ["a", "b"]


def test_same_again(index: VectorIndex) -> None:
    """Applying a change a second time changes nothing."""
    for _ in range(2):
        index.apply([put(1, "a", unit(1)), put(2, "b", unit(2)), gone(3, "b")])
    assert found(index, unit(1)) == ["a"]


def test_the_last_of_a_key_counts(index: VectorIndex) -> None:
    """Several changes of one key in one call leave what the last says."""
    index.apply(
        [
            put(1, "a", unit(1)),
            gone(2, "a"),
            put(3, "a", unit(2)),
            put(4, "b", unit(3)),
            gone(5, "b"),
        ]
    )
    [neighbour] = index.nearest("scope", unit(2), 5)
    assert neighbour.key == "a"
    assert neighbour.similarity == pytest.approx(1.0, abs=1e-5)


def test_delete(index: VectorIndex) -> None:
    """Deleted keys are not found; unknown ones do no harm."""
    index.apply([put(i, f"k{i}", unit(i)) for i in range(1, 8)])
    index.apply([gone(8, "k3"), gone(9, "k7"), gone(10, "nobody")])
    assert sorted(found(index, unit(3), k=10)) == ["k1", "k2", "k4", "k5", "k6"]


def test_loses_its_vector(index: VectorIndex) -> None:
    """An entry that becomes exact-only is not found any more."""
    index.apply([put(1, "a", unit(1))])
    index.apply([put(2, "a", None)])
    assert found(index, unit(1)) == []


def test_scopes_are_apart(index: VectorIndex) -> None:
    """The same vector in another scope is never returned, however near."""
    index.apply([put(i, f"k{i}", unit(1), "other") for i in range(1, 30)])
    index.apply([put(30, "mine", near(unit(1), 0.1))])
    assert found(index, unit(1)) == ["mine"]
    assert "mine" not in found(index, unit(1), 40, "other")


def test_fewer_than_asked_for(index: VectorIndex) -> None:
    """More than there are is as many as there are."""
    index.apply([put(1, "a", unit(1)), put(2, "b", unit(2))])
    assert len(found(index, unit(1), k=100)) == 2


def test_many(index: VectorIndex) -> None:
    """Among a thousand, each is the nearest to itself, with others' deletion in between."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1200, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index.apply([put(i + 1, f"k{i}", vectors[i], "wide") for i in range(600)])
    index.nearest("wide", vectors[0], 1)
    index.apply([put(i + 1, f"k{i}", vectors[i], "wide") for i in range(1200)])
    index.apply([gone(2000 + i, f"k{i}", "wide") for i in range(0, 1200, 3)])
    kept = [i for i in range(1200) if i % 3][::40]
    assert [found(index, vectors[i], 1, "wide")[0] for i in kept] == [f"k{i}" for i in kept]


def test_clear(index: VectorIndex) -> None:
    """After clear() nothing is found, and it can be filled again."""
    index.apply([put(1, "a", unit(1))])
    index.clear()
    assert found(index, unit(1)) == []
    index.apply([put(2, "b", unit(2))])
    assert found(index, unit(2)) == ["b"]


def test_close_twice(index: VectorIndex) -> None:
    """close() may be called again."""
    index.close()
    index.close()
