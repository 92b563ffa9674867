"""What the user's program asks: an object of theirs, named as module:attribute."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from semcache_core.errors import ConfigError, MissingDependency

_FRAMEWORKS = {"langchain_semcache": "langchain_core", "llamaindex_semcache": "llama_index"}


def imported(name: str) -> Any:
    """The object; its module is looked for in the working directory too. Raises `ConfigError`."""
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise ConfigError(f"--model-of: {name!r} was given; it is module:name, as app.chat:chain")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ConfigError(f"--model-of: {name!r} cannot be imported: {said}") from error
    return found


def cache_class(program: Any) -> type:
    """The cache's class of the framework that the object is of, else the core's."""
    from semcache_core.cache import SemanticCache

    kinds = {kind.__module__.partition(".")[0] for kind in type(program).__mro__}
    plain = not kinds & set(_FRAMEWORKS.values())
    for adapter, framework in _FRAMEWORKS.items():
        # A function does not say what it asks; its module has imported that.
        if framework in kinds or (plain and framework in sys.modules):
            return adapter_class(adapter)
    return SemanticCache


def adapter_class(package: str) -> type:
    """An adapter's cache; by name, since the core knows no adapter. Raises `MissingDependency`."""
    extra = package.removesuffix("_semcache")
    try:
        made: type = importlib.import_module(package).SemanticCache
    except ModuleNotFoundError as error:
        raise MissingDependency(f"a cache of {extra}'s", str(error.name), extra) from error
    return made
