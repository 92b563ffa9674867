"""Warming a cache through LlamaIndex: the program's own call, as a function of a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.llms.llm import LLM

from llamaindex_semcache.llm import cached
from llamaindex_semcache.twin import Twin
from semcache_core.cache import SemanticCache
from semcache_core.errors import ConfigError

Call = Callable[[str], Any]


def call_of(cache: SemanticCache, asked: Any, system: str | None) -> Call:
    """How a program asks this: an LLM, a query engine, a chat engine, a function of a question.

    Raises `ConfigError` for anything else.
    """
    if isinstance(asked, LLM):
        return _of_llm(asked if isinstance(asked, Twin) else cached(asked, cache), system)
    if system is not None:
        raise ConfigError("system: only an LLM takes one; an engine has its own")
    if isinstance(asked, BaseQueryEngine):
        return asked.query
    if isinstance(asked, BaseChatEngine):
        return lambda question: _alone(asked, question)
    if callable(asked):
        return asked  # type: ignore[no-any-return]  # whatever it returns is not looked at
    raise ConfigError(
        f"llm: {asked!r} was given; give an LLM, an engine, or a function of a question"
    )


def _of_llm(llm: LLM, system: str | None) -> Call:
    """Chatted with, and, as no system prompt belongs to it, completed as well."""
    before = [ChatMessage(role=MessageRole.SYSTEM, content=system)] if system else []

    def call(question: str) -> None:
        llm.chat([*before, ChatMessage(role=MessageRole.USER, content=question)])
        if not before:
            llm.complete(question)

    return call


def _alone(engine: BaseChatEngine, question: str) -> None:
    """The first question of a conversation."""
    engine.reset()
    engine.chat(question)
    engine.reset()
