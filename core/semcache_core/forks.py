"""Forked children: they inherit locks that somebody held and pools whose threads are gone."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet


class ForkedChild:
    """Is told when it wakes up in a forked child."""

    def watch_forks(self) -> None:
        """To be called at construction."""
        _watched.add(self)

    def in_forked_child(self) -> None:
        """Replace locks, pools and what was under way in the parent."""
        raise NotImplementedError


_watched: WeakSet[ForkedChild] = WeakSet()
abandoned: list[Any] = []
"""Pools of the parent: to end one in the child would wait for threads that do not exist there."""


def _tell() -> None:
    for one in list(_watched):
        one.in_forked_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_tell)
