"""One lookup and one update whose failures never reach the caller; what asks is written on them."""

from semcache_core.serving.lookups import explained
from semcache_core.serving.serving import Serving
from semcache_core.serving.updates import Rules

__all__ = ["Rules", "Serving", "explained"]
