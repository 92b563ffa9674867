"""What a run's config says about caching, and wrappers for the nodes of a chain or graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import (
    RunnableConfig,
    ensure_config,
    var_child_runnable_config,
)

from semcache_core.control import Control, changed, current, settings, using
from semcache_core.errors import ConfigError

T = TypeVar("T")

OFF: Mapping[str, Any] = MappingProxyType({"read": False, "write": False})
CACHED_ONLY: Mapping[str, Any] = MappingProxyType({"read": True, "write": False, "offline": True})
TAGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "semcache:no_cache": OFF,
        "semcache:refresh": {"read": False, "write": True},
        "semcache:read_only": {"read": True, "write": False},
        "semcache:cached_only": CACHED_ONLY,
    }
)
"""Tags of a run, and the setting that each stands for."""
_PREFIX = "semcache:"
KEY = "semcache"
"""Where a config's `configurable` holds settings: `{"semcache": {"session": "ann"}}`."""

_given: ContextVar[RunnableConfig | None] = ContextVar("semcache_config", default=None)


def running_config() -> RunnableConfig:
    """The config of the run that asks: the model's own, if a twin was called, on its parents'."""
    return ensure_config(_given.get())


def effective() -> Control:
    """The setting in force, with what the running config changes; raises `ConfigError`."""
    control = current()
    for config in (var_child_runnable_config.get(), _given.get()):
        if config is not None:
            control = _with_tags(control, config)
            control = changed(control, (config.get("configurable") or {}).get(KEY) or {})
    return control


def _with_tags(control: Control, config: RunnableConfig) -> Control:
    for tag in config.get("tags") or ():
        if tag in TAGS:
            control = changed(control, TAGS[tag])
        elif tag.startswith(_PREFIX):
            raise ConfigError(f"tags: unknown tag {tag!r}; known are {', '.join(TAGS)}")
    return control


@contextmanager
def called_with(control: Control, config: RunnableConfig | None) -> Iterator[None]:
    """Make a call's own config and setting known to the lookup inside it."""
    token = _given.set(config)
    try:
        with using(control):
            yield
    finally:
        _given.reset(token)


def uncached(runnable: Any) -> Any:
    """The same model, runnable, function or graph node, with caching switched off inside it.

    A model stays a model of its class (`bind_tools` and the like keep working); a function stays a
    function of its signature; any other runnable is wrapped. Raises `ConfigError` for what is none.
    """
    if isinstance(runnable, BaseLanguageModel):
        from langchain_semcache.chat_model import original, resettled

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
        from langchain_semcache.chat_model import resettled

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


def stepped(items: Iterator[T], frame: Callable[[], Any]) -> Iterator[T]:
    """Each step of the iteration inside a frame of its own.

    A frame around the whole generator would leak into the consumer between two chunks, and would be
    left in another context than it was entered when the generator is dropped.
    """
    try:
        while True:
            with frame():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    finally:
        if (close := getattr(items, "close", None)) is not None:
            close()


async def astepped(items: AsyncIterator[T], frame: Callable[[], Any]) -> AsyncIterator[T]:
    """As `stepped`, on the event loop."""
    try:
        while True:
            with frame():
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    return
            yield item
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
