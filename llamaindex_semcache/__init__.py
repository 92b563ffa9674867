"""Semantic caching for LlamaIndex."""

from llamaindex_semcache.cache import SemanticCache
from llamaindex_semcache.events import CacheHitEvent
from llamaindex_semcache.llm import cached
from llamaindex_semcache.policy import Asked
from llamaindex_semcache.query_engine import CachedQueryEngine
from semcache_core.control import no_cache, offline, read_only, refresh, settings
from semcache_core.errors import OfflineMiss
from semcache_core.turns import Turns

__all__ = [
    "Asked",
    "CacheHitEvent",
    "CachedQueryEngine",
    "OfflineMiss",
    "SemanticCache",
    "Turns",
    "cached",
    "no_cache",
    "offline",
    "read_only",
    "refresh",
    "settings",
]
