"""Semantic caching for LangChain."""

from typing import TYPE_CHECKING, Any

from langchain_semcache.cache import SemanticCache
from langchain_semcache.chat_model import cached
from langchain_semcache.control import cached_only, controlled, uncached
from langchain_semcache.rejecting import rejecting
from semcache_core.control import no_cache, offline, read_only, refresh, settings
from semcache_core.errors import MissingDependency, OfflineMiss
from semcache_core.turns import Turns

if TYPE_CHECKING:
    from langchain_semcache.middleware import SemanticCacheMiddleware

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


def __getattr__(name: str) -> Any:
    """The middleware needs the package `langchain`; everything else needs langchain-core only."""
    if name != "SemanticCacheMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from langchain_semcache.middleware import SemanticCacheMiddleware
    except ModuleNotFoundError as error:
        raise MissingDependency(name, "langchain", "agents") from error
    return SemanticCacheMiddleware
