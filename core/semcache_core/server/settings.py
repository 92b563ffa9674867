"""What a server is started with, checked before anything is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from semcache_core.errors import ConfigError
from semcache_core.server.templates import Template
from semcache_core.turns import Turns

DEFAULT_MAX_BODY = 32 * 1024 * 1024  # bytes: a request with several images
# What providers keep books by; no answer depends on it.
IGNORED = ("metadata", "prompt_cache_key", "prompt_cache_retention")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where requests go, who may make them, and what is cached of them.

    `keys` maps tenants to the digest of their key ("sha256:" and 64 hex digits), or to several:
    only their bearers are served, each tenant apart, and the upstream is asked with
    `upstream_api_key`.
    Without `keys` a caller's own credentials go upstream and their digest is the tenant. `open`
    lets anybody spend `upstream_api_key`; without it that is refused.

    `timeout` and `connect_timeout` are in seconds: how long the upstream may be silent.
    `max_body` is in bytes. `turns` says which turns are cached and how. `stream_usage`: streams
    are asked for their usage upstream, so that a stored answer has it; off for upstreams that
    refuse the field. `ignored` are fields of a request that no answer depends on. `templates`
    (texts, or `Template`s) say which part of a longer message is its question. `statistics`: the
    page at `/`, `/stats` and `/metrics` are there. `hosts` are the names by which callers may call
    this server; none: any name. A server on its user's machine needs it: a page in the browser can
    give this address a name of its own.

    Raises `ConfigError`.
    """

    upstream: str
    upstream_api_key: str | None = field(default=None, repr=False)
    keys: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    open: bool = False
    timeout: float = 600.0
    connect_timeout: float = 10.0
    max_body: int = DEFAULT_MAX_BODY
    turns: Turns = field(default_factory=Turns)
    stream_usage: bool = True
    ignored: tuple[str, ...] = IGNORED
    templates: tuple[Template, ...] = ()
    statistics: bool = True
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "upstream", _base(self.upstream))
        object.__setattr__(self, "ignored", tuple(self.ignored))
        object.__setattr__(self, "hosts", tuple(one.lower() for one in self.hosts))
        object.__setattr__(self, "templates", _templates(self.templates))
        for name in ("timeout", "connect_timeout"):
            _positive(name, getattr(self, name))
        if not isinstance(self.max_body, int) or self.max_body < 1:
            raise ConfigError(f"max_body: {self.max_body!r} was given; give a number of bytes")
        if not isinstance(self.turns, Turns):
            raise ConfigError(f"turns: {self.turns!r} was given; give a semcache_core.turns.Turns")
        tenants_by_digest(self.keys)
        _header_value("upstream_api_key", self.upstream_api_key)
        if self.upstream_api_key and not self.keys and not self.open:
            raise ConfigError(
                "upstream_api_key: it was given without keys, so anybody who reaches this server "
                "could spend it; give keys (one a tenant), or open=True if that is meant"
            )
        if self.keys and self.open:
            raise ConfigError("open: it was given beside keys; give one of them")


def tenants_by_digest(keys: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Each key's SHA-256 in hex, and whose it is; raises `ConfigError`."""
    if not isinstance(keys, Mapping):
        raise ConfigError(f"keys: a {type(keys).__name__} was given; give tenant: digest")
    found: dict[str, str] = {}
    for tenant, given in keys.items():
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise ConfigError(
                f"keys: {tenant!r} cannot name a tenant; give up to 64 letters, digits, '.', '_', "
                "'-', the first of them a letter or digit"
            )
        for one in [given] if isinstance(given, str) else given:
            digest = _digest(tenant, one)
            if found.setdefault(digest, tenant) != tenant:
                raise ConfigError(f"keys: {tenant!r} and {found[digest]!r} have the same key")
    return found


def _digest(tenant: str, given: object) -> str:
    match = _DIGEST.fullmatch(given.lower()) if isinstance(given, str) else None
    if match is None:
        # What was given is not repeated: it may be the key itself.
        raise ConfigError(
            f"keys: what {tenant!r} has is not 'sha256:' and 64 hex digits; "
            f"`semcache serve --new-key {tenant}` makes a key and its digest"
        )
    return match[1]


def _base(url: object) -> str:
    """The URL to which `/chat/completions` is appended; `/v1` is added to a bare host."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"upstream: {url!r} was given; give a URL: https://api.openai.com/v1")
    if parts.username or parts.password:
        raise ConfigError("upstream: the URL holds credentials; give them as upstream_api_key")
    if parts.query or parts.fragment:
        raise ConfigError("upstream: the URL holds a query; give it without")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _templates(given: Sequence[Template | str]) -> tuple[Template, ...]:
    several = [given] if isinstance(given, str) else given
    return tuple(one if isinstance(one, Template) else Template(one) for one in several)


def _header_value(name: str, value: str | None) -> None:
    if value is not None and not (value and value.isascii() and value.isprintable()):
        # What was given is not repeated: it is a key.
        raise ConfigError(f"{name}: it is empty, or holds characters that no key has")


def _positive(name: str, value: object) -> None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]  # a number: usable says so
        raise ConfigError(f"{name}: {value!r} was given; give a number of seconds above 0")
