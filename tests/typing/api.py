"""The public API as its users' type checkers see it; checked by `mypy --strict`, never run."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.caches import BaseCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from llama_index.core import Settings
from llama_index.llms.openai import OpenAI
from typing_extensions import assert_type

import langchain_semcache
import llamaindex_semcache
import semcache_core
from langchain_semcache import Turns, no_cache, offline, read_only, refresh, settings
from semcache_core import Hit, Miss, Stats, memoize
from semcache_core.errors import ConfigError, MissingDependency, SemcacheError
from semcache_core.explain import Explanation
from semcache_core.prompts import Condensed, LastTurns, Pipeline, Without


def prompts(model: ChatOpenAI, llm: OpenAI) -> None:
    """Readers are joined with one another and with functions; both frameworks take them."""
    reader = LastTurns(2, skip=("assistant",), dropped="ignore") | Without("Be brief.")
    assert_type(reader, Pipeline)
    assert_type(reader | str.strip, Pipeline)
    condensed = Condensed(lambda prompt: model.invoke(prompt).text, dropped="ignore")
    langchain_semcache.SemanticCache(question=reader)
    cache = llamaindex_semcache.SemanticCache()
    assert_type(llamaindex_semcache.cached(llm, cache, question=condensed), OpenAI)


def langchain() -> None:
    """In memory, on disk, with everything said; the global cache and a model's own."""
    set_llm_cache(langchain_semcache.SemanticCache())
    with langchain_semcache.SemanticCache(
        "cache",
        embedding="all-MiniLM-L6-v2",
        threshold=0.9,
        namespace=lambda config: str(config["configurable"]["tenant"]),
        question=ChatPromptTemplate([("human", "{context} {question}")]),
        conversation="sequence",
        turns=Turns(tool_calls="exact"),
        ttl=60,
        max_entries=1000,
    ) as cache:
        assert_type(cache, langchain_semcache.SemanticCache)
        base: BaseCache = cache
        model = ChatOpenAI(model="gpt-4o-mini", cache=base)
        twin = langchain_semcache.cached(model, cache)
        assert_type(twin, ChatOpenAI)
        assert_type(twin.invoke("Hello"), AIMessage)
        assert_type(cache.stats(), Stats)
        assert_type(cache.clear(), int)


async def langchain_async(cache: langchain_semcache.SemanticCache) -> None:
    """The asynchronous half."""
    async with cache as same:
        assert_type(same, langchain_semcache.SemanticCache)
        assert_type(await cache.aclear(namespace="ann"), int)
        await cache.aflush()


def llamaindex() -> None:
    """The twin is of the provider's class."""
    cache = llamaindex_semcache.SemanticCache("cache", embed_model=None, max_false_hit_rate=0.01)
    llm = llamaindex_semcache.cached(OpenAI(model="gpt-4o-mini"), cache)
    assert_type(llm, OpenAI)
    Settings.llm = llm


def core(cache: semcache_core.SemanticCache) -> None:
    """Any model of any vendor."""
    assert_type(cache.put("How?", {"so": 1}, tokens=12), bool)
    assert_type(cache.explain("How?"), Explanation)
    assert_type(cache.stats().hit_rate, float)
    with semcache_core.SemanticCache() as own:
        assert_type(own, semcache_core.SemanticCache)


def controls(seen: list[Hit | Miss]) -> None:
    """Blocks that change what the cache does."""
    with no_cache(), refresh(), read_only(), offline():
        pass
    with settings(top_k=3, on_hit=seen.append, on_miss=seen.append):
        pass


def functions(cache: semcache_core.SemanticCache) -> None:
    """A memoised function keeps its signature."""

    @memoize(cache)
    def answer(question: str, words: int = 10) -> str:
        return question * words

    assert_type(answer("How?", words=3), str)
    assert_type(langchain_semcache.cached(ChatOpenAI(model="gpt-4o-mini"), cache), ChatOpenAI)
    assert_type(llamaindex_semcache.cached(OpenAI(model="gpt-4o-mini"), cache), OpenAI)

    class Desk:
        @memoize(cache, exact=lambda self, text: None)
        def answer(self, text: str) -> str:
            return text

    assert_type(Desk().answer("How?"), str)


ERRORS: Sequence[type[SemcacheError]] = (ConfigError, MissingDependency)


def configured(model: ChatOpenAI, llm: OpenAI) -> None:
    """Each class makes its own kind from a configuration, and takes its framework's models."""
    ours = langchain_semcache.SemanticCache.from_config("cache.yaml", namespace="a")
    assert_type(ours, langchain_semcache.SemanticCache)
    theirs = llamaindex_semcache.SemanticCache.from_config({"threshold": 0.9})
    assert_type(theirs, llamaindex_semcache.SemanticCache)
    pairs = [("How do I reset my password?", "Use the link.")]
    print(ours.warm(pairs, model, system="Be brief.").stored, theirs.warm(pairs, llm).present)
    stats = ours.stats(prices={"gpt-4o": 5.0})
    assert_type(stats.recall, float | None)
    assert_type(stats.money_saved, float | None)
