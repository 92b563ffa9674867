"""What a fork asks of open stores."""

from __future__ import annotations

import os
import weakref

from semcache_core.protocols import ForkAware

_guarded: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def guard(part: ForkAware) -> None:
    """Have `part` told of forks for as long as it lives."""
    _guarded.add(part)


def _before() -> None:
    for part in list(_guarded):
        part.before_fork()


def _after(child: bool) -> None:
    for part in list(_guarded):
        part.after_fork(child)


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(False),
        after_in_child=lambda: _after(True),
    )
