"""Semantic caching for LangChain."""

from langchain_semcache.cache import SemanticCache
from semcache_core.control import no_cache, offline, read_only, refresh, settings
from semcache_core.turns import Turns

__all__ = [
    "SemanticCache",
    "Turns",
    "no_cache",
    "offline",
    "read_only",
    "refresh",
    "settings",
]
