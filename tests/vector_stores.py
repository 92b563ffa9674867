"""Vector stores of LlamaIndex, empty, for tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from servers import package


@contextmanager
def faiss(_folder: Path, dimension: int) -> Iterator[Any]:
    """In memory, Euclidean, without deletion."""
    package("llama_index.vector_stores.faiss")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SWIG's types
        import faiss as library
    from llama_index.vector_stores.faiss import FaissVectorStore

    yield FaissVectorStore(faiss_index=library.IndexFlatL2(dimension))


@contextmanager
def qdrant(folder: Path, _dimension: int, *, on_disk: bool = False) -> Iterator[Any]:
    """Cosine; in a folder it takes a transaction for each vector."""
    package("llama_index.vector_stores.qdrant")
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    client = QdrantClient(path=str(folder)) if on_disk else QdrantClient(":memory:")
    try:
        yield QdrantVectorStore(client=client, collection_name="semcache")
    finally:
        client.close()


@contextmanager
def milvus(folder: Path, dimension: int) -> Iterator[Any]:
    """Milvus Lite, in a file, inner product."""
    package("milvus_lite")
    package("llama_index.vector_stores.milvus")
    from llama_index.vector_stores.milvus import MilvusVectorStore

    store = MilvusVectorStore(
        uri=str(folder / "milvus.db"), dim=dimension, collection_name="semcache"
    )
    try:
        yield store
    finally:
        store.client.close()


Opening = Callable[[Path, int], AbstractContextManager[Any]]
STORES: dict[str, Opening] = {"faiss": faiss, "qdrant": qdrant, "milvus": milvus}
