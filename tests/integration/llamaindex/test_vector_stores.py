"""LlamaIndex' vector stores as the index of a cache: used, kept up to date, rebuilt, left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_values import Wide, entry, wide
from vector_stores import STORES, qdrant

from langchain_semcache import SemanticCache as ForLangChain
from llamaindex_semcache import SemanticCache as ForLlamaIndex
from llamaindex_semcache.vector_store import noted, scrambled
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.indexes.large import IndexFailed
from semcache_core.store import Store, open_store

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")


@pytest.fixture(params=STORES)
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An empty vector store of each kind."""
    with STORES[request.param](tmp_path, 24) as made:
        yield made


def opened(path: Path | None, index: Any, **options: Any) -> Store:
    """A store over this index that asks it for scopes of more than 30."""
    given: dict[str, Any] = {"embedder": Wide(), "scan_limit": 30, "poll": 0.0}
    return open_store(path, index=index, **(given | options))


def fill(store: Store, first: int, count: int, scope: str = "scope") -> None:
    """Put entries, and have the index take them."""
    store.put([entry(f"{scope}-k{i}", scope=scope, vector=wide(i)) for i in range(first, count)])
    store.nearest(scope, wide(first), 1)
    store.flush()


def top(store: Store, i: int, scope: str = "scope") -> str | None:
    """The key nearest to the i-th vector."""
    found = store.nearest(scope, wide(i), 1, 0.99)
    return found[0].entry.key if found else None


def test_search_and_change(tmp_path: Path, vectors: Any) -> None:
    """Large scopes are searched in the vector store; replaced and deleted entries follow."""
    with closing(opened(tmp_path / "cache", vectors)) as store:
        fill(store, 0, 60)
        fill(store, 0, 60, "other")
        assert store.health().index == type(vectors).__name__
        assert [top(store, i) for i in range(60)] == [f"scope-k{i}" for i in range(60)]
        assert top(store, 7, "other") == "other-k7"
        store.delete(["scope-k7"])
        store.put([entry("scope-k8", vector=wide(800))])
        for _ in range(2):
            assert top(store, 7) is None
            assert top(store, 8) is None
            assert top(store, 800) == "scope-k8"
            assert top(store, 7, "other") == "other-k7"
            store.flush()


def test_opened_again(tmp_path: Path, vectors: Any) -> None:
    """A cache that is opened again finds all, whether the store has kept its vectors or not."""
    for turn in range(3):
        with closing(opened(tmp_path / "cache", vectors)) as store:
            fill(store, 100 * turn, 100 * turn + 40)
            assert all(top(store, i) == f"scope-k{i}" for t in range(turn + 1) for i in (100 * t,))
            assert store.health().pending == 0


def test_kept_by_the_store(tmp_path: Path) -> None:
    """What a store keeps on disk is not written a second time."""
    for turn in range(2):
        with (
            qdrant(tmp_path / "vectors", 24, on_disk=True) as vectors,
            closing(opened(tmp_path / "cache", vectors)) as store,
        ):
            if not turn:
                fill(store, 0, 40)
            store.nearest("scope", wide(1), 1)
            store.flush()
            now = noted(store._entries)
            if not turn:
                before = now
            assert now is not None and before is not None
            assert now["generation"] == before["generation"]
            assert [top(store, i) for i in range(40)] == [f"scope-k{i}" for i in range(40)]


def test_emptied_by_somebody_else(tmp_path: Path) -> None:
    """A store that has lost the vectors is filled anew."""
    with qdrant(tmp_path, 24) as vectors, closing(opened(tmp_path / "cache", vectors)) as store:
        fill(store, 0, 40)
    with qdrant(tmp_path, 24) as empty, closing(opened(tmp_path / "cache", empty)) as store:
        store.nearest("scope", wide(1), 1)
        store.flush()
        assert [top(store, i) for i in range(40)] == [f"scope-k{i}" for i in range(40)]


def test_cleared(tmp_path: Path, vectors: Any) -> None:
    """After clear() nothing of before is found, and it is filled again."""
    with closing(opened(tmp_path / "cache", vectors)) as store:
        fill(store, 0, 40)
        store.clear()
        assert top(store, 3) is None
        fill(store, 100, 140)
        assert top(store, 103) == "scope-k103"
        assert top(store, 3) is None


def test_a_store_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches go on without it, and nothing raises but flush."""
    with qdrant(tmp_path, 24) as vectors, closing(opened(tmp_path / "cache", vectors)) as store:
        fill(store, 0, 40)

        def down(*_: Any, **__: Any) -> Any:
            raise ConnectionError("gone")

        with monkeypatch.context() as broken:
            broken.setattr(type(vectors), "query", down)
            broken.setattr(type(vectors), "add", down)
            assert top(store, 3) == "scope-k3"
            store.put([entry("new", vector=wide(900))])
            assert top(store, 900) == "new"
            with pytest.raises(IndexFailed, match="failed"):
                store.flush()


def test_threads(tmp_path: Path, vectors: Any) -> None:
    """Searches and puts side by side: nothing raises, and all is found in the end."""
    failures: list[BaseException] = []
    with closing(opened(tmp_path / "cache", vectors)) as store:
        fill(store, 0, 60)

        def work(first: int) -> None:
            try:
                for i in range(first, first + 15):
                    store.put([entry(f"scope-k{i}", vector=wide(i))])
                    assert top(store, i) == f"scope-k{i}"
                    assert top(store, i % 60) == f"scope-k{i % 60}"
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(1000 * n,)) for n in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        store.flush()
        assert all(top(store, 1000 * n + 7) == f"scope-k{1000 * n + 7}" for n in (1, 2, 3))


@pytest.mark.parametrize("kind", [ForLangChain, ForLlamaIndex])
def test_both_frameworks_take_it(tmp_path: Path, kind: type, vectors: Any) -> None:
    """`index=` of both classes."""
    named = {"embedding" if kind is ForLangChain else "embed_model": HashEmbedder(dimension=24)}
    with kind(tmp_path / "cache", index=vectors, scan_limit=30, **named) as cache:
        for i in range(40):
            assert cache.put(f"topic{i} word{i}", i)
        assert cache.get("topic3 word3") == 3
        assert cache.flush()


def test_what_is_no_index(tmp_path: Path) -> None:
    """An object of LlamaIndex' that is no vector store, or of nobody's, is refused by name."""
    with pytest.raises(ConfigError, match="a vector store of LlamaIndex"):
        opened(tmp_path, object())
    from llama_index.core.schema import TextNode

    with pytest.raises(ConfigError, match=r"index: .*TextNode"):
        opened(tmp_path, TextNode(text="no"))


def test_scrambling() -> None:
    """Inner products stay within a scope, and are small between scopes."""
    one, two = wide(1), wide(2)
    assert scrambled("s", one) @ scrambled("s", two) == pytest.approx(float(one @ two), abs=1e-6)
    crossed = [abs(float(scrambled("s", one) @ scrambled(f"t{i}", one))) for i in range(500)]
    assert sum(crossed) / len(crossed) < 0.4  # 24 numbers only; 384 give 0.07
    assert scrambled("s", one).dtype == one.dtype
