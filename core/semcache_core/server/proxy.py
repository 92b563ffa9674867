"""A request through the cache: planned, answered from the record or by the upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from semcache_core.cache import SemanticCache
from semcache_core.server.asker import Asker
from semcache_core.server.embedding import EmbeddingAsker
from semcache_core.server.endpoints import embeddings
from semcache_core.server.incoming import Gate, Incoming
from semcache_core.server.passing import check_path, check_shared, passed
from semcache_core.server.plans import NotUnderstood, Plan
from semcache_core.server.replies import Replies
from semcache_core.server.settings import ServerSettings
from semcache_core.server.told import told
from semcache_core.server.upstream import Upstream

_OFF = "switched off by X-Semcache-Skip"


class Proxy:
    """The cache in front of one upstream."""

    def __init__(
        self, cache: SemanticCache, settings: ServerSettings, upstream: Upstream, gate: Gate
    ) -> None:
        self._cache, self._settings = cache, settings
        self._upstream, self._gate = upstream, gate

    async def answer(self, replies: Replies, request: Request) -> Response:
        """A request to an endpoint whose answers are cached."""
        incoming = await self._gate.read(request, replies.endpoint.path)
        body = incoming.body()
        plan = self._planned(replies, incoming, body, request.url.query)
        if plan.prompt is None:
            return await self._passed(incoming, plan.why)
        asker = Asker(self._cache, self._upstream, replies, plan, incoming, body)
        if body.get("stream") is True:
            return await asker.stream(always_usage=self._settings.stream_usage)
        return await asker.whole()

    async def embed(self, request: Request) -> Response:
        """A request for embeddings: those that are known are not asked for again."""
        incoming = await self._gate.read(request, embeddings.PATH)
        body = incoming.body()
        if incoming.off:
            return await self._passed(incoming, _OFF)
        query = request.url.query
        prompts = self._cache.attempt(
            lambda: embeddings.prompts(body, self._gate.place(incoming, query))
        )
        if not prompts:
            return await self._passed(incoming, "the request cannot be cached")
        return await EmbeddingAsker(self._cache, self._upstream, incoming, body).whole(prompts)

    async def other(self, request: Request, path: str) -> Response:
        """Any other request to the upstream, which is passed on."""
        check_path(path)
        incoming = await self._gate.read(request, path)
        if self._settings.upstream_api_key:
            check_shared(request.method, path)
        return await self._passed(incoming, "not a cached endpoint")

    def _planned(
        self, replies: Replies, incoming: Incoming, body: Mapping[str, Any], query: str
    ) -> Plan:
        if incoming.off:
            return Plan(None, _OFF)

        def plan() -> Plan:
            try:
                return replies.endpoint.plan(body, self._gate.place(incoming, query))
            except NotUnderstood as error:
                return Plan(None, str(error))

        return self._cache.attempt(plan) or Plan(None, "the request cannot be cached")

    async def _passed(self, incoming: Incoming, why: str) -> Response:
        return await passed(self._upstream, incoming.out, told(None, why))
