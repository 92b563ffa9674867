"""A cache in words: a YAML or JSON file, a mapping, environment variables.

`SemanticCache.from_config(...)` is the way in; the names here are for tools.
"""

from semcache_core.config._loading import Loaded, load
from semcache_core.config._model import Config
from semcache_core.config._schema import schema

__all__ = ["Config", "Loaded", "load", "schema"]
