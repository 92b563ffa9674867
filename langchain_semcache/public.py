"""What a twin has in front of LangChain's own methods, and what it hides from them.

LangChain shows a leaf its parents' config, and nothing of the config of a direct call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.runnables.config import RunnableConfig

from langchain_semcache.asker import OF
from langchain_semcache.running import called_with
from langchain_semcache.stepping import astepped, stepped
from semcache_core.control import current


def _invoke(self: Any, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  # LangChain's name
    with called_with(current(), config):
        return getattr(type(self), OF).invoke(self, input, config, **kwargs)


async def _ainvoke(
    self: Any,
    input: Any,  # noqa: A002  # LangChain's name
    config: RunnableConfig | None = None,
    **kwargs: Any,
) -> Any:
    with called_with(current(), config):
        return await getattr(type(self), OF).ainvoke(self, input, config, **kwargs)


def _stream(
    self: Any,
    input: Any,  # noqa: A002  # LangChain's name
    config: RunnableConfig | None = None,
    **kwargs: Any,
) -> Iterator[Any]:
    control = current()  # now: the first chunk may be asked for after the `with` block has ended
    chunks = getattr(type(self), OF).stream(self, input, config, **kwargs)
    return stepped(chunks, lambda: called_with(control, config))


def _astream(
    self: Any,
    input: Any,  # noqa: A002  # LangChain's name
    config: RunnableConfig | None = None,
    **kwargs: Any,
) -> AsyncIterator[Any]:
    control = current()
    chunks = getattr(type(self), OF).astream(self, input, config, **kwargs)
    return astepped(chunks, lambda: called_with(control, config))


PUBLIC = {"invoke": _invoke, "ainvoke": _ainvoke, "stream": _stream, "astream": _astream}


def _hidden(field: str, shown: Any) -> property:
    """A field that the twin shows as switched off, and that the model beneath it still has."""

    def set_it(self: Any, value: Any) -> None:
        self.__dict__[field] = value

    return property(lambda self: shown, set_it)


HIDDEN = {
    "cache": _hidden("cache", shown=False),  # no second lookup in the global cache
    "rate_limiter": _hidden("rate_limiter", shown=None),  # LangChain would wait before each leaf
}
