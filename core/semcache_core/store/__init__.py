"""The record and the index together: what the cache reads from and writes to."""

from semcache_core.store.health import Health
from semcache_core.store.opening import open_store
from semcache_core.store.store import Store

__all__ = ["Health", "Store", "open_store"]
