"""Indexes of other packages' making, found by what the user hands over.

A package announces how it makes a home for a framework's objects as an entry point of the group
`semcache.indexes`, named after the framework's top module: so the core knows no framework.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from semcache_core.indexes.homes import Home
from semcache_core.protocols import EntryStore

GROUP = "semcache.indexes"

MakeHome = Callable[[Any, EntryStore, str], Home]
"""From the object, the record and the embedder's identity."""


def announced(index: object) -> MakeHome | None:
    """What makes a home for this object; None if no installed package says it can."""
    modules = {kind.__module__.partition(".")[0] for kind in type(index).__mro__}
    for point in entry_points(group=GROUP):
        if point.name in modules:
            maker: MakeHome = point.load()
            return maker
    return None
