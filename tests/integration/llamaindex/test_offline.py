"""Offline, a twin of an LLM asks nobody, whatever the reason that it is not cached."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llamaindex_semcache import OfflineMiss, SemanticCache, cached, no_cache, offline
from semcache_core.embedders.testing import HashEmbedder


class City(BaseModel):
    """A city."""

    name: str


class Counted(MockLLM):
    """Must never be asked."""

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the model was asked")

    stream_complete = complete
    chat = complete
    stream_chat = complete


async def refused(llm: Any) -> None:
    """Every way to ask is an `OfflineMiss`."""
    message = [ChatMessage("how do I cancel my order")]
    template = PromptTemplate("Name a city in {land}.")
    with pytest.raises(OfflineMiss):
        llm.complete("how do I cancel my order")
    with pytest.raises(OfflineMiss):
        list(llm.stream_chat(message))
    with pytest.raises(OfflineMiss):
        await llm.achat(message)
    with pytest.raises(OfflineMiss):
        _ = [chunk async for chunk in await llm.astream_complete("how do I cancel my order")]
    with pytest.raises(OfflineMiss):
        llm.structured_predict(City, template, land="Norway")


@pytest.mark.parametrize("aside", ["switched off", "no tenant", "nothing stored"])
async def test_a_twin_never_asks(aside: str) -> None:
    """Switched off inside, a tenant that cannot be named, a plain miss."""
    namespace: Any = (lambda: {}["tenant"]) if aside == "no tenant" else ""
    with SemanticCache(embed_model=HashEmbedder(), namespace=namespace) as cache, offline():
        llm = cached(Counted(), cache)
        if aside == "switched off":
            with no_cache():
                await refused(llm)
        else:
            await refused(llm)
