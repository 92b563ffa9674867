"""The core of semcache: semantic caching for any model, of which the adapters are made."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache
    from semcache_core.control import no_cache, offline, read_only, refresh, settings
    from semcache_core.memoizing import memoize
    from semcache_core.models import Hit, Miss
    from semcache_core.stats import Stats

__all__ = [
    "Hit",
    "Miss",
    "SemanticCache",
    "Stats",
    "memoize",
    "no_cache",
    "offline",
    "read_only",
    "refresh",
    "settings",
]

_HOMES = dict.fromkeys(("no_cache", "offline", "read_only", "refresh", "settings"), "control")
_HOMES |= {"Hit": "models", "Miss": "models", "SemanticCache": "cache", "Stats": "stats"}
_HOMES |= {"memoize": "memoizing"}


def __getattr__(name: str) -> Any:
    # A part of the core is usable without loading the others, the command line first of all.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"semcache_core.{_HOMES[name]}"), name)
