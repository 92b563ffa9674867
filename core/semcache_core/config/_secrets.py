"""Secrets come from the environment: `${NAME}`, or `${NAME:-otherwise}`, in any text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from semcache_core.config._reading import Place
from semcache_core.errors import ConfigError

_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}", re.ASCII)
_SECRET = ("api_key", "apikey", "password", "secret", "token", "authorization")
_URL = re.compile(r"[a-zA-Z][\w+.-]*://")


def expanded(value: Any, environment: Mapping[str, str], name: Callable[[Place], str]) -> Any:
    """The value with its references filled in.

    Raises `ConfigError` for a variable that is not set, and for a secret that is written out:
    files get copied, committed and shown. `name` says how a place is called in the message.
    """
    return _walked(value, (), environment, name)


def _walked(value: Any, place: Place, env: Mapping[str, str], name: Callable[[Place], str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _walked(one, (*place, key), env, name) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(one, (*place, number), env, name) for number, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    if _written_out(value, place):
        raise ConfigError(
            f"{name(place)}: a secret is written out here; put it into an environment variable and "
            "name that: ${NAME}"
        )
    return _REFERENCE.sub(lambda found: _looked_up(found, place, env, name), value)


def _looked_up(
    found: re.Match[str], place: Place, env: Mapping[str, str], name: Callable[[Place], str]
) -> str:
    value = env.get(found[1], found[2])
    if value is None:
        raise ConfigError(f"{name(place)}: the environment variable {found[1]} is not set")
    return value


def _written_out(text: str, place: Place) -> bool:
    key = next((one for one in reversed(place) if isinstance(one, str)), "").lower()
    plain = _REFERENCE.sub("", text)
    if is_secret(key) and plain.removeprefix("Bearer").strip():
        return True
    if not _URL.match(text):
        return False
    try:
        return bool(urlsplit(plain).password)
    except ValueError:
        return False  # no URL, which is somebody else's complaint


def is_secret(key: str) -> bool:
    """Whether a setting of that name holds a secret."""
    return any(word in key.lower() for word in _SECRET)


def has_reference(value: Any) -> bool:
    """Whether a text takes something from the environment, so that it may be secret."""
    return isinstance(value, str) and _REFERENCE.search(value) is not None
