"""Wrappers for the nodes of a chain or graph: the same with other settings inside."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase

from langchain_semcache.asker import original
from langchain_semcache.chat_model import resettled
from langchain_semcache.running import CACHED_ONLY, OFF
from langchain_semcache.stepping import astepped, stepped
from semcache_core.control import changed, current, settings
from semcache_core.errors import ConfigError


def uncached(runnable: Any) -> Any:
    """The same model, runnable, function or graph node, with caching switched off inside it.

    A model stays a model of its class (`bind_tools` and the like keep working); a function stays a
    function of its signature; any other runnable is wrapped. Raises `ConfigError` for what is none.
    """
    if isinstance(runnable, BaseLanguageModel):
        twin = resettled(runnable, dict(OFF))  # a twin still, which knows of `offline`
        if twin is not None:
            return twin
        return original(runnable).model_copy(update={"cache": False})
    return controlled(runnable, **OFF)


def cached_only(runnable: Any) -> Any:
    """The same, served from the cache alone: a miss raises `OfflineMiss` and asks no model.

    `cached_only(large).with_fallbacks([small])` takes what the large model once answered, and asks
    the small one otherwise. Raises `ConfigError` for what is no runnable.
    """
    return controlled(runnable, **CACHED_ONLY)


def controlled(runnable: Any, **changes: Any) -> Any:
    """The same with other settings inside (the fields of `Control`); raises `ConfigError`."""
    changed(current(), changes)
    if isinstance(runnable, BaseLanguageModel):
        twin = resettled(runnable, changes)
        if twin is not None:
            return twin
    if isinstance(runnable, Runnable):
        return Controlled(bound=runnable, changes=changes)
    if callable(runnable):
        return _function(runnable, changes)
    raise ConfigError(f"runnable: {runnable!r} was given; give a runnable or a function")


def _function(function: Callable[..., Any], changes: Mapping[str, Any]) -> Callable[..., Any]:
    """A wrapper of the function's own kind, since graphs tell nodes apart by kind and signature."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"runnable: {function!r} is a generator function; wrap what it calls")
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with settings(**changes):
                return await function(*args, **kwargs)

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with settings(**changes):
            return function(*args, **kwargs)

    return called


class Controlled(RunnableBindingBase[Any, Any]):
    """A runnable with settings of its own; `uncached` and `cached_only` make it."""

    changes: dict[str, Any]

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        with self._under():
            return super().invoke(*args, **kwargs)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> Any:
        with self._under():
            return await super().ainvoke(*args, **kwargs)

    def batch(self, *args: Any, **kwargs: Any) -> Any:
        with self._under():
            return super().batch(*args, **kwargs)

    async def abatch(self, *args: Any, **kwargs: Any) -> Any:
        with self._under():
            return await super().abatch(*args, **kwargs)

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return stepped(super().stream(*args, **kwargs), self._under)

    def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return astepped(super().astream(*args, **kwargs), self._under)

    def transform(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return stepped(super().transform(*args, **kwargs), self._under)

    def atransform(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return astepped(super().atransform(*args, **kwargs), self._under)

    def _under(self) -> Any:
        return settings(**self.changes)
