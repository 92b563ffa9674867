"""A server's settings from the `server` section of a configuration."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.keys import sha256
from semcache_core.server.settings import ServerSettings
from semcache_core.turns import Turns
from semcache_core.units import in_bytes, in_seconds

_DAY = 86_400
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server waits for requests, and how long it goes on for those under way.

    `grace` is in seconds. Raises `ConfigError`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grace: float = 60.0

    def __post_init__(self) -> None:
        if not isinstance(self.host, str) or not self.host:
            raise ConfigError(f"server.host: {self.host!r} was given; give a name or an address")
        if not isinstance(self.port, int) or not 0 <= self.port < 65_536:
            raise ConfigError(f"server.port: {self.port!r} was given; give one from 0 to 65535")
        number = isinstance(self.grace, int | float) and not isinstance(self.grace, bool)
        if not number or not 0 <= self.grace <= _DAY:
            raise ConfigError(f"server.grace: {self.grace!r} was given; give seconds, up to a day")


def settings_from(given: Mapping[str, Any]) -> tuple[ServerSettings, Listening]:
    """Check a section; raises `ConfigError` for a setting that there is not, or cannot work."""
    # An environment variable that is empty says nothing.
    values = {name: value for name, value in given.items() if value not in (None, "")}
    ours = {field.name for field in fields(ServerSettings)}
    listening = {field.name for field in fields(Listening)}
    _check_names("server", values, ours | listening)
    if "upstream" not in values:
        raise ConfigError(
            "upstream: it is missing; give the URL of what is cached, for example "
            "--upstream https://api.openai.com/v1"
        )
    read = {name: _read(name, value) for name, value in values.items()}
    place = Listening(**{name: read.pop(name) for name in listening & read.keys()})
    if place.host in _LOOPBACK and not read.get("keys"):
        read.setdefault("hosts", _LOOPBACK)
    return ServerSettings(**read), place


def new_key(tenant: str) -> tuple[str, str]:
    """A key for a tenant, and its digest for the configuration: the key itself is kept nowhere."""
    key = f"sk-semcache-{secrets.token_urlsafe(32)}"
    digest = f"sha256:{sha256(key.encode())}"
    ServerSettings("http://localhost", keys={tenant: digest})  # a name that cannot be is refused
    return key, digest


def _read(name: str, value: Any) -> Any:
    """A value as YAML has it, or as a text, as environment variables have all."""
    read = _READERS.get(name)
    return value if read is None else read(f"server.{name}", value)


def _port(name: str, value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _switch(name: str, value: Any) -> bool:
    found = _SWITCHES.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ConfigError(f"{name}: {value!r} was given; give true or false")
    return found


def _turns(name: str, value: Any) -> Turns:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}: {value!r} was given; give a mapping: tool_calls: exact")
    _check_names(name, value, {field.name for field in fields(Turns)})
    return Turns(**{k: "off" if v is False else v for k, v in value.items()})  # YAML's `off`


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{name}: {value!r} was given; give a list of texts")
    return tuple(value)


def _texts(name: str, value: Any) -> Any:
    return _names(name, [value] if isinstance(value, str) else value)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "timeout": in_seconds,
    "connect_timeout": in_seconds,
    "grace": in_seconds,
    "max_body": in_bytes,
    "port": _port,
    "open": _switch,
    "stream_usage": _switch,
    "statistics": _switch,
    "turns": _turns,
    "hosts": _texts,
    "ignored": _names,
    "templates": _texts,
}


def _check_names(where: str, given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise ConfigError(f"{where}.{name}: there is no such setting; {hint}")
