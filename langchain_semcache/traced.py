"""Which answer of a cache a parser was given, where what it was given does not say so itself.

A message carries its mark. A text that was taken from one, or an object that was parsed from it,
carries none: then the answers are remembered that the cache gave inside the parser (structured
output, wrapped as a whole), or else those of the chain that the parser is a step of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_semcache.running import running_config
from semcache_core.lru import LRU

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache

Mark = dict[str, Any]
# A list, since what a step of a chain sets is lost in its own copy of the context.
_inside: ContextVar[list[tuple[Any, Mark]] | None] = ContextVar("semcache_inside", default=None)


class Trace:
    """The newest answer of each of the chains that run, for one cache."""

    def __init__(self) -> None:
        self.marks: LRU[Any, Mark] = LRU(1024)


def given(cache: SemanticCache, mark: Mark) -> None:
    """Remember an answer that was just given."""
    if (inside := _inside.get()) is not None:
        inside.append((cache, mark))
    if (chain := _chain(running_config())) is not None:
        _trace(cache).marks.put(chain, mark)


@contextmanager
def tracing() -> Iterator[list[tuple[Any, Mark]]]:
    """Collect the answers that are given inside."""
    found: list[tuple[Any, Mark]] = []
    around, token = _inside.get(), _inside.set(found)
    try:
        yield found
    finally:
        _inside.reset(token)
        if around is not None:
            around.extend(found)


def of_chain(cache: SemanticCache, config: Mapping[str, Any] | None) -> Mark | None:
    """The newest answer given to the chain in which this config is a step's."""
    chain = _chain(config or running_config())
    return None if chain is None else _trace(cache).marks.get(chain)


def _trace(cache: SemanticCache) -> Trace:
    found: Trace | None = cache.beside.get(Trace)
    return found or cache.beside.setdefault(Trace, Trace())


def _chain(config: Mapping[str, Any]) -> Any:
    """The id of the run that this one is a step of."""
    return getattr(config.get("callbacks"), "parent_run_id", None)
