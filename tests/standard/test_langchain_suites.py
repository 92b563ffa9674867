"""LangChain's own test suites, unmodified."""

from __future__ import annotations

import pytest
from langchain_core.caches import BaseCache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd
from langchain_models import AsyncStreaming
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_semcache import SemanticCache, cached
from semcache_core.embedders.testing import HashEmbedder


class TestInMemory(SyncCacheTestSuite):
    """The cache in memory."""

    @pytest.fixture
    def cache(self):
        with SemanticCache(embedding=HashEmbedder()) as made:
            yield made


class TestInMemoryAsync(AsyncCacheTestSuite):
    """The cache in memory, on the event loop."""

    @pytest.fixture
    async def cache(self):
        async with SemanticCache(embedding=HashEmbedder()) as made:
            yield made


class TestOnDisk(SyncCacheTestSuite):
    """The cache in a folder."""

    @pytest.fixture
    def cache(self, tmp_path) -> BaseCache:
        with SemanticCache(tmp_path / "cache", embedding=HashEmbedder()) as made:
            yield made


class TestOnDiskAsync(AsyncCacheTestSuite):
    """The cache in a folder, on the event loop."""

    @pytest.fixture
    async def cache(self, tmp_path) -> BaseCache:
        async with SemanticCache(tmp_path / "cache", embedding=HashEmbedder()) as made:
            yield made


# The suite asks for the class while tests are collected, before any fixture.
TWINS = SemanticCache(embedding=HashEmbedder())


class TestBareModel(ChatModelUnitTests):
    """The test model as it is, to compare with."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return AsyncStreaming

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"model": "counting", "temperature": 0}


class TestTwin(TestBareModel):
    """The suite makes models of a class, so it is given the twin's."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return type(cached(AsyncStreaming(), TWINS))


class TestBareOpenAI(ChatModelUnitTests):
    """A provider's model, which can be serialised."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"model": "gpt-4o", "api_key": "sk-none"}

    @property
    def init_from_env_params(self):
        expected = {"openai_api_key": "sk-environment"}
        return {"OPENAI_API_KEY": "sk-environment"}, {"model": "gpt-4o"}, expected

    @pytest.fixture
    def snapshot(self):
        """What a model has to be serialised as: the bare one is."""
        params = {**self.standard_chat_model_params, **self.chat_model_params}
        return lambda name: dumpd(ChatOpenAI(**params))


class TestTwinOfOpenAI(TestBareOpenAI):
    """Its twin."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return type(cached(ChatOpenAI(model="gpt-4o", api_key="sk-none"), TWINS))
