"""Switching caching on and off, and adjusting it, for whatever runs inside a `with` block.

The setting is a context variable: it travels into tasks, and into the threads that LangChain,
LangGraph and LlamaIndex start, since they copy the context. A raw `ThreadPoolExecutor` does not;
submit `contextvars.copy_context().run` to one. Adapters take the setting when the call is made, so
a generator made inside the block keeps it when it is consumed outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from semcache_core.errors import ConfigError, OfflineMiss
from semcache_core.models import Hit, Miss


@dataclass(frozen=True, slots=True)
class Control:
    """What the running code asked of the cache."""

    read: bool = True
    """Stored answers may be served."""
    write: bool = True
    """Fresh answers may be stored."""
    offline: bool = False
    """A miss, or a call past the cache, raises `OfflineMiss` instead of asking the model."""
    top_k: int | None = None
    """How many candidates to look at; None: the cache's own setting."""
    factor: float = 1.0
    """Multiplies the policy's threshold: above 1 is stricter, below 1 looser."""
    session: str | None = None
    """A session is not served the same entry twice."""
    on_hit: Callable[[Hit], Any] | None = None
    on_miss: Callable[[Miss], Any] | None = None

    @property
    def plain(self) -> bool:
        """Nothing was asked for, so the shortest path serves."""
        return self is DEFAULT

    @property
    def on(self) -> bool:
        """The cache is used at all."""
        return self.read or self.write

    def past(self, why: str) -> None:
        """A call is about to go past the cache, to the model; raises `OfflineMiss` if offline."""
        if self.offline:
            raise OfflineMiss(f"offline, and the cache stands aside: {why}")


SWITCHED_OFF = "neither reading nor writing is allowed here"
UNKEYED = "this request cannot be cached (the log says why)"
DEFAULT = Control()
_current: ContextVar[Control] = ContextVar("semcache_control", default=DEFAULT)


def current() -> Control:
    """The setting in force here."""
    return _current.get()


@contextmanager
def using(control: Control) -> Iterator[Control]:
    """Put a setting in force, for instance one that was taken when a call was made."""
    token = _current.set(control)
    try:
        yield control
    finally:
        _current.reset(token)


@contextmanager
def settings(**changes: Any) -> Iterator[Control]:
    """Change fields of `Control` for this block: `with settings(top_k=10, session="ann")`.

    Raises `ConfigError` for an unknown name or a value out of range.
    """
    with using(changed(current(), changes)) as control:
        yield control


def changed(control: Control, changes: Mapping[str, Any]) -> Control:
    """The setting with other values; raises `ConfigError` as `settings` does."""
    return replace(control, **_checked(changes)) if changes else control


def no_cache() -> Any:
    """Neither serve from the cache nor store in it."""
    return settings(read=False, write=False)


def refresh() -> Any:
    """Ask the model anew and overwrite what is stored."""
    return settings(read=False, write=True)


def read_only() -> Any:
    """Serve what is stored, store nothing."""
    return settings(read=True, write=False)


def offline() -> Any:
    """Serve what is stored; all else raises `OfflineMiss`: to develop and test without a model.

    That goes for a miss, and for every call for which the cache stands aside: `no_cache` inside,
    a kind of turn that is off, a tenant that cannot be named, an argument without a stable form.
    """
    return settings(offline=True)


def _checked(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = sorted(set(changes) - set(Control.__slots__))
    if unknown:
        known = ", ".join(Control.__slots__)
        raise ConfigError(f"settings: unknown name {unknown[0]!r}; known are {known}")
    top_k = changes.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
        raise ConfigError(f"top_k: {top_k!r} was given; it must be a whole number of at least 1")
    factor = changes.get("factor", 1.0)
    if not isinstance(factor, int | float) or not factor >= 0:
        raise ConfigError(f"factor: {factor!r} was given; it must be a number of at least 0")
    return changes
