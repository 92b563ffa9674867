"""`create_agent(model, tools, middleware=[SemanticCacheMiddleware(cache)])`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

from langchain_semcache.chat_model import cached
from langchain_semcache.payload import MARK
from langchain_semcache.reading import reading_of
from semcache_core.cache import SemanticCache
from semcache_core.control import changed, current
from semcache_core.errors import ConfigError
from semcache_core.turns import Turns

log = logging.getLogger("semcache")


class SemanticCacheMiddleware(AgentMiddleware[Any, Any]):
    """Answers an agent's model calls from a cache.

    The agent's model is twinned (`cached`) for the call, so the key is made of what the model is
    really sent: system message, messages, tools and response format with their schemas, settings.
    Tool results of the turn must be the same; turns that end in tool calls are asked anew unless
    `turns=Turns(tool_calls="exact")`. A hit says so in `response_metadata["semcache"]`, and in a
    graph that is streamed with `stream_mode="custom"` it sends `{"semcache": mark}`.

    `cache`, `turns` and `settings` are those of `cached`. Raises `ConfigError` as `cached` does.
    """

    def __init__(
        self, cache: SemanticCache, *, turns: Turns | None = None, **settings: Any
    ) -> None:
        super().__init__()
        reading_of(cache)  # a wrong argument is told of here, and not at the first call
        changed(current(), settings)
        self._cache, self._turns, self._settings = cache, turns, settings

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask through the cache."""
        return _announced(request, handler(self._twinned(request)))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`, on the event loop."""
        return _announced(request, await handler(self._twinned(request)))

    def _twinned(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        try:
            model = cached(request.model, self._cache, turns=self._turns, **self._settings)
        except ConfigError as error:  # a model of another kind is asked as ever
            log.warning("semcache: the agent's model is not cached: %s", error)
            return request
        return request.override(model=model)


def _announced(request: ModelRequest[Any], response: ModelResponse[Any]) -> ModelResponse[Any]:
    """Tell whoever streams the graph of a hit."""
    marks = [getattr(message, "response_metadata", {}).get(MARK) for message in response.result]
    write = getattr(request.runtime, "stream_writer", None)
    for mark in filter(None, marks):
        if write is not None:
            write({MARK: mark})
    return response
