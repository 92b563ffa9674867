"""What the config of the run that asks says about caching."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from langchain_core.runnables.config import (
    RunnableConfig,
    ensure_config,
    var_child_runnable_config,
)

from semcache_core.control import Control, changed, current, using
from semcache_core.errors import ConfigError

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
