"""A request as it came in: whose it is, what it asks for, and how it goes on upstream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from semcache_core.cache import SemanticCache
from semcache_core.control import Control
from semcache_core.policies.threshold import ThresholdPolicy
from semcache_core.server import bodies
from semcache_core.server.failures import ApiError
from semcache_core.server.plans import Place
from semcache_core.server.settings import ServerSettings
from semcache_core.server.tenants import Caller, Door
from semcache_core.server.upstream import Outgoing, Upstream, forwarded
from semcache_core.server.wishes import Wishes, wishes

_ACCOUNT = ("openai-organization", "openai-project", "openai-beta", "openai-version")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request, read and let in."""

    caller: Caller
    wishes: Wishes
    control: Control
    content: bytes
    headers: Mapping[str, str]
    out: Outgoing

    @property
    def namespace(self) -> str:
        """The tenant's, or the part of it that the request names.

        No two tenants have one alike, since neither name holds a slash.
        """
        named = f"/{self.wishes.namespace}" if self.wishes.namespace else ""
        return self.caller.tenant + named

    @property
    def off(self) -> bool:
        """Neither to be looked up nor stored."""
        return not (self.control.read or self.control.write)

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent; raises `ApiError`."""
        return bodies.parsed(self.content, self.headers)

    def with_usage(self, body: Mapping[str, Any]) -> Outgoing:
        """The request upstream, asking for the stream's usage too."""
        options = body.get("stream_options") or {}
        if not isinstance(options, Mapping):
            return self.out  # the upstream will have something to say
        options = {**options, "include_usage": True}
        content = json.dumps({**body, "stream_options": options}).encode()
        return replace(self.out, content=content)


class Gate:
    """Reads requests; who asks is settled before anything they sent is looked at."""

    def __init__(self, cache: SemanticCache, settings: ServerSettings, upstream: Upstream) -> None:
        self._cache, self._settings, self._upstream = cache, settings, upstream
        self._door = Door(settings)

    def caller(self, request: Request) -> Caller:
        """Who asks; raises `ApiError` (401)."""
        return self._door.caller(request.headers)

    async def read(self, request: Request, path: str = "") -> Incoming:
        """The request, to be passed on to `path`; raises `ApiError` (400, 401, 413)."""
        caller = self.caller(request)
        asked = wishes(request.headers)
        control = Control(**asked.changes, factor=factor(self._cache, asked))
        content = await bodies.read(request, self._settings.max_body)
        query = request.url.query
        headers = forwarded(request.headers.items(), caller.credentials)
        target = quote(path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
        out = Outgoing(request.method, target, headers, content)
        return Incoming(caller, asked, control, content, request.headers, out)

    def namespace(self, incoming: Incoming) -> str:
        """The caller's, inside the cache's own; raises `UncacheableError`."""
        base = self._cache.running_namespace()
        return "/".join(part for part in (base, incoming.namespace) if part)

    def place(self, incoming: Incoming, query: str) -> Place:
        """What of this server goes into the request's key."""
        account = {name: incoming.headers[name] for name in _ACCOUNT if name in incoming.headers}
        return Place(
            namespace=self.namespace(incoming),
            exact=[self._upstream.url, query, account],
            turns=self._settings.turns,
            ignored=self._settings.ignored,
            templates=self._settings.templates,
            stream_usage=self._settings.stream_usage,
        )


def factor(cache: SemanticCache, asked: Wishes) -> float:
    """What makes the cache's threshold the one that is asked for; raises `ApiError` (400)."""
    if asked.threshold is None:
        return 1.0
    policy = cache._parts.policy
    if not isinstance(policy, ThresholdPolicy) or policy.by_namespace or not policy.threshold:
        raise ApiError(
            400,
            "X-Semcache-Threshold: this server's cache does not decide by one fixed threshold, "
            "so none can be asked for",
            code="invalid_header",
            param="x-semcache-threshold",
        )
    return asked.threshold / policy.threshold
