"""Who is asking: a bearer's key is a tenant, or else the digest of what is passed upstream.

No key is kept or logged: ours are compared by SHA-256, callers' own are passed on and digested.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from semcache_core.keys import digest, sha256
from semcache_core.server.failures import ApiError
from semcache_core.server.settings import ServerSettings, tenants_by_digest

CREDENTIALS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
"""Headers that hold a key with one provider or another."""
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    tenant: str
    """Part of the namespace; empty for anybody, where anybody may ask."""
    credentials: Mapping[str, str] = field(repr=False)
    """Headers with which the upstream is asked."""


class Door:
    """Lets callers in; whoever cannot be named is turned away."""

    def __init__(self, settings: ServerSettings) -> None:
        self._known = tenants_by_digest(settings.keys)
        key = settings.upstream_api_key
        self._own = {"authorization": f"Bearer {key}"} if key else {}
        self._passes_on = not (settings.keys or settings.open)
        self._hosts = settings.hosts

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """Who these headers name; raises `ApiError` (401, 421)."""
        self._check_host(headers.get("host", ""))
        if self._known:
            return Caller(self._tenant(headers), self._own)
        if not self._passes_on:
            return Caller("", self._own)
        given = {name: headers[name] for name in CREDENTIALS if headers.get(name)}
        # Half a digest is 128 bits: nobody meets another's, and it stays legible in a listing.
        tenant = f"key-{digest('semcache tenant', given)[:32]}" if given else ""
        return Caller(tenant, given)

    def _check_host(self, host: str) -> None:
        """RFC 9110, section 7.4: a request that was meant for somebody else is misdirected."""
        name = re.sub(r":\d+$", "", host).strip("[]").lower()
        if self._hosts and name not in self._hosts:
            raise ApiError(
                421,
                f"This server is not called {name[:80]!r}; add it to server.hosts if it is.",
                code="misdirected_request",
            )

    def _tenant(self, headers: Mapping[str, str]) -> str:
        keys = [headers[name] for name in CREDENTIALS if headers.get(name)]
        tenants = {self._known.get(sha256(_bare(key).encode())) for key in keys}
        if not keys:
            raise _refused("No API key was given: send it as 'Authorization: Bearer ...'.")
        [tenant, *others] = tenants
        if tenant is None or others:  # of two keys nobody can say whose request it is
            raise _refused("The API key is not one of this server's.")
        return tenant


def _bare(value: str) -> str:
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else value


def _refused(message: str) -> ApiError:
    return ApiError(
        401,
        message,
        code="invalid_api_key",
        headers={"www-authenticate": 'Bearer realm="semcache"'},
    )
