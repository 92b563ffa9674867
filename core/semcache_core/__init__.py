"""The core of semcache: semantic caching for any model, of which the adapters are made."""

from semcache_core.cache import SemanticCache
from semcache_core.control import no_cache, offline, read_only, refresh, settings
from semcache_core.memoize import memoize
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
