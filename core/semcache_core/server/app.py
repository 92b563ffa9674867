"""The application: paths and what answers them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from semcache_core.cache import SemanticCache
from semcache_core.server.endpoints import CHAT, COMPLETION, RESPONSE, embeddings
from semcache_core.server.failures import ApiError, error_body
from semcache_core.server.incoming import Gate
from semcache_core.server.metrics import CONTENT_TYPE, Measured, Metrics
from semcache_core.server.own import Own
from semcache_core.server.page import page
from semcache_core.server.proxy import Proxy
from semcache_core.server.settings import ServerSettings
from semcache_core.server.upstream import Upstream

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("semcache.server")
Handler = Callable[[Request], Awaitable[Response]]
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_GONE = 499  # the caller closed the connection: nobody reads this


def create_app(
    cache: SemanticCache,
    settings: ServerSettings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """The server as an ASGI application, in front of `settings.upstream`.

    The cache stays the caller's: it is flushed, and not closed, when the server ends. `transport`
    takes the place of the network on the way upstream.
    """
    upstream = Upstream(settings, transport)
    gate = Gate(cache, settings, upstream)
    metrics = Metrics(cache)
    proxy, own = Proxy(cache, settings, upstream, gate), Own(cache, gate)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await upstream.close()
        await cache.aflush()

    routes = _proxied(proxy) + _own(own)
    if settings.statistics:
        routes += _statistics(own, metrics)
    named = frozenset(route.path for route in routes)
    return Starlette(
        routes=[*routes, Route("/v1{path:path}", _other(proxy), methods=_METHODS)],
        middleware=[Middleware(Measured, metrics, named)],
        exception_handlers={
            ApiError: _api_error,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
            Exception: _unexpected,
        },
        lifespan=lifespan,
    )


def _proxied(proxy: Proxy) -> list[Route]:
    routes = [
        _post(f"/v1{one.endpoint.path}", partial(proxy.answer, one))
        for one in (CHAT, COMPLETION, RESPONSE)
    ]
    return [*routes, _post(f"/v1{embeddings.PATH}", proxy.embed)]


def _own(own: Own) -> list[Route]:
    return [
        _post("/get", own.get),
        _post("/put", own.put),
        _post("/flush", own.flush),
        _get("/health", own.ready),
        _get("/health/live", own.live),
        _get("/health/ready", own.ready),
    ]


def _statistics(own: Own, metrics: Metrics) -> list[Route]:
    async def figures(request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.text), media_type=CONTENT_TYPE)

    async def shown(request: Request) -> Response:
        return page()

    return [
        _get("/", shown),
        _get("/stats", own.stats),
        _post("/search", own.search),
        _get("/metrics", figures),
    ]


def _get(path: str, handler: Handler) -> Route:
    return Route(path, _plain(handler), methods=["GET"])


def _post(path: str, handler: Handler) -> Route:
    return Route(path, _plain(handler), methods=["POST"])


def _plain(handler: Handler) -> Handler:
    """A function, which is what Starlette calls with a request: a partial it takes for an app."""

    async def handle(request: Request) -> Response:
        return await handler(request)

    return handle


def _other(proxy: Proxy) -> Handler:
    async def handle(request: Request) -> Response:
        return await proxy.other(request, request.path_params["path"])

    return handle


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  # that is what it is registered for
    return JSONResponse(error.body(), error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    if status == 404:
        words = "There is no such path; clients' base URL ends with /v1."
        return JSONResponse(error_body(404, words, "not_found"), 404)
    words = str(getattr(error, "detail", "")) or "The request failed."
    headers = getattr(error, "headers", None)
    return JSONResponse(error_body(status, words, "http_error"), status, headers)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=_GONE)


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected: %s", type(error).__name__, exc_info=error)
    words = "The server failed; its log says more."
    return JSONResponse(error_body(500, words, "internal_error"), 500)
