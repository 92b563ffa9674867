"""Whose a prompt is: the tenant, named once or anew at each call."""

from __future__ import annotations

from collections.abc import Callable

from semcache_core.errors import UncacheableError

Namespace = str | Callable[[], str]
"""The tenant's name, or a function that names the running one."""


def running(namespace: Namespace) -> str:
    """The tenant's name here and now; raises `UncacheableError` when it cannot be named."""
    if isinstance(namespace, str):
        return namespace
    try:
        name = namespace()
    except Exception as error:
        raise UncacheableError(f"the namespace callable failed: {error!r}") from error
    if not isinstance(name, str) or not name:
        raise UncacheableError(f"the namespace callable returned {name!r}, not a tenant's name")
    return name
