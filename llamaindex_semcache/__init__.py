"""Semantic caching for LlamaIndex."""

from llamaindex_semcache.cache import SemanticCache
from llamaindex_semcache.llm import cached
from semcache_core.control import no_cache, offline, read_only, refresh, settings
from semcache_core.turns import Turns

__all__ = [
    "SemanticCache",
    "Turns",
    "cached",
    "no_cache",
    "offline",
    "read_only",
    "refresh",
    "settings",
]
