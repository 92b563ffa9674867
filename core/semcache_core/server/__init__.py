"""`semcache serve`: a cache in front of any upstream that speaks OpenAI's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semcache_core.server.settings import ServerSettings

if TYPE_CHECKING:
    from semcache_core.server.app import create_app

__all__ = ["ServerSettings", "create_app"]


def __getattr__(name: str) -> Any:
    """The application needs the extra `server`; its settings can be checked without."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from semcache_core.errors import MissingDependency

    try:
        from semcache_core.server.app import create_app
    except ModuleNotFoundError as error:
        package = (error.name or "starlette").partition(".")[0]
        raise MissingDependency("the server", package, "server") from error
    return create_app
