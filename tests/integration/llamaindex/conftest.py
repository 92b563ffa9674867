"""A cache whose embedder finds the paraphrases that the tests name, and LlamaIndex's settings."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llamaindex_models import LetterEmbedding, Provider

from llamaindex_semcache import SemanticCache
from semcache_core.protocols import Embedder


@pytest.fixture
def provider() -> Provider:
    """The far side of the wire."""
    return Provider()


@pytest.fixture
def cache(minilm: Embedder) -> Iterator[SemanticCache]:
    """A cache in memory with the real embedder and the default policy."""
    with SemanticCache(embed_model=minilm) as opened:
        yield opened


@pytest.fixture(autouse=True)
def plain_settings() -> Iterator[None]:
    """LlamaIndex's global settings, without models that would go to the network."""
    Settings.callback_manager = CallbackManager([])
    Settings.embed_model = LetterEmbedding()
    yield
    Settings._llm = None
    Settings._embed_model = None
    Settings._callback_manager = None


@pytest.fixture(autouse=True)
def closed_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """LlamaIndex's synchronous methods make an event loop and leave it open: give them one."""
    if inspect.iscoroutinefunction(request.function):
        yield
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
