"""A cache on a deterministic embedder, and one on the real MiniLM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_semcache import SemanticCache
from semcache_core.embedders.testing import HashEmbedder


@pytest.fixture
def cache() -> Iterator[SemanticCache]:
    with SemanticCache(embedding=HashEmbedder(), threshold=0.8) as made:
        yield made


@pytest.fixture
def real(minilm) -> Iterator[SemanticCache]:
    """Real embeddings, the defaults."""
    with SemanticCache(embedding=minilm) as made:
        yield made
