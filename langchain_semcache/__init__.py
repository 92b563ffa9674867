"""Semantic caching for LangChain."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semcache_core.errors import MissingDependency, OfflineMiss

if TYPE_CHECKING:
    from langchain_semcache.cache import SemanticCache
    from langchain_semcache.chat_model import cached
    from langchain_semcache.control import cached_only, controlled, uncached
    from langchain_semcache.middleware import SemanticCacheMiddleware
    from langchain_semcache.reporting import rejecting
    from semcache_core.control import no_cache, offline, read_only, refresh, settings
    from semcache_core.turns import Turns

__all__ = [
    "OfflineMiss",
    "SemanticCache",
    "SemanticCacheMiddleware",
    "Turns",
    "cached",
    "cached_only",
    "controlled",
    "no_cache",
    "offline",
    "read_only",
    "refresh",
    "rejecting",
    "settings",
    "uncached",
]

# LangChain's models and runnables take half a second to import: who wants `no_cache` only, or
# imports this long before it is used, does not wait for them. No module may bear a public name.
_HOMES = {
    "SemanticCache": "langchain_semcache.cache",
    "SemanticCacheMiddleware": "langchain_semcache.middleware",
    "Turns": "semcache_core.turns",
    "cached": "langchain_semcache.chat_model",
    "rejecting": "langchain_semcache.reporting",
}
_HOMES |= dict.fromkeys(("cached_only", "controlled", "uncached"), "langchain_semcache.control")
_HOMES |= dict.fromkeys(
    ("no_cache", "offline", "read_only", "refresh", "settings"), "semcache_core.control"
)


def __getattr__(name: str) -> Any:
    """The middleware needs the package `langchain`; everything else needs langchain-core only."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if name != "SemanticCacheMiddleware":
            raise
        raise MissingDependency(name, "langchain", "agents") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
