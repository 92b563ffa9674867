"""This server's own endpoints: questions and answers, a look inside, health.

`/get`, `/put` and `/flush` take and give what GPTCache's server does, so that its clients go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.errors import OfflineMiss, StoreError
from semcache_core.keys import make_prompt
from semcache_core.models import Hit, Prompt
from semcache_core.server.asker import not_cached
from semcache_core.server.failures import ApiError
from semcache_core.server.incoming import Gate, Incoming
from semcache_core.server.looking import explanations, pictured
from semcache_core.server.told import told


class Own:
    """Handlers, each of which knows its caller's namespace and no other."""

    def __init__(self, cache: SemanticCache, gate: Gate) -> None:
        self._cache, self._gate = cache, gate

    async def get(self, request: Request) -> Response:
        """`{"prompt": ...}` to `{"prompt": ..., "answer": ...}`; the answer is null on a miss."""
        incoming, body = await self._read(request, "prompt", "exact")
        if incoming.off:
            return JSONResponse({"prompt": body["prompt"], "answer": None}, headers=told(None))
        try:
            found = await self._cache.afind(self._prompt(incoming, body), JSON, incoming.control)
        except OfflineMiss as miss:
            raise not_cached(miss) from miss
        self._cache.misses.keep(found)
        answer = found.answer if isinstance(found, Hit) else None
        return JSONResponse({"prompt": body["prompt"], "answer": answer}, headers=told(found))

    async def put(self, request: Request) -> Response:
        """`{"prompt": ..., "answer": ...}`: stored when this returns."""
        incoming, body = await self._read(request, "prompt", "answer", "exact")
        if "answer" not in body:
            raise ApiError(400, "answer: it is missing", code="missing_field", param="answer")
        # What is put replaces what was there, as with a refreshed request.
        control = replace(incoming.control, read=False)
        prompt, ttl = self._prompt(incoming, body), incoming.wishes.ttl
        how = {"ttl": ttl, "miss": self._cache.misses.take(prompt)}
        if control.write and not await self._cache.asave(
            prompt, body["answer"], JSON, control, **how
        ):
            raise ApiError(503, "The answer could not be stored.", code="not_stored")
        return JSONResponse("successfully update the cache")

    async def flush(self, request: Request) -> Response:
        """Wait until what was put is indexed."""
        self._gate.caller(request)
        await self._cache.aflush()
        return JSONResponse("successfully flush the cache")

    async def search(self, request: Request) -> Response:
        """What a prompt would hit, and why: `{"prompt": ...}`, perhaps with a `model`."""
        incoming, body = await self._read(request, "prompt", "model")
        namespace = self._gate.namespace(incoming)
        found = await explanations(self._cache, namespace, body["prompt"], body.get("model"))
        return JSONResponse({"scopes": found})

    async def stats(self, request: Request) -> Response:
        """What happened since the server started, as counts only."""
        self._gate.caller(request)
        return JSONResponse(pictured(await asyncio.to_thread(self._cache.stats)))

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """The record can be read."""
        try:
            await asyncio.to_thread(self._cache.stats)
        except StoreError as error:
            return JSONResponse({"status": "failing", "error": type(error).__name__}, 503)
        return JSONResponse({"status": "ok"})

    async def _read(self, request: Request, *known: str) -> tuple[Incoming, dict[str, Any]]:
        incoming = await self._gate.read(request)
        body = incoming.body()
        for name in body:
            if name not in known:
                raise ApiError(
                    400,
                    f"{name}: no such field; known are {', '.join(known)}",
                    code="unknown_field",
                )
        if not isinstance(body.get("prompt"), str) or not body["prompt"].strip():
            raise ApiError(400, "prompt: give a text", code="invalid_field", param="prompt")
        return incoming, body

    def _prompt(self, incoming: Incoming, body: Mapping[str, Any]) -> Prompt:
        """The prompt that `SemanticCache.get` and `put` make in this namespace."""
        return make_prompt(
            kind=JSON.name,
            exact=body.get("exact"),
            query=body["prompt"],
            namespace=self._gate.namespace(incoming),
        )
