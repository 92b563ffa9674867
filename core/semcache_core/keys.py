"""What makes two prompts the same: canonical text, digests, and the split into scope and query.

Pure. Digests are SHA-256, since prompts are in an attacker's hands (MD5 collisions can be bought).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from functools import lru_cache
from typing import Any

from semcache_core.errors import ConfigError, UncacheableError
from semcache_core.models import Prompt

_KEPT = 400
"""Characters up to which the keys of a question are kept in memory, as it may be asked again."""
_FORM = "\0"
"""Begins the keys that tell other values than JSON's from mappings that look like them."""


def normal(text: str) -> str:
    """Unicode NFC, so that an accent typed in two ways is one text."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def sha256(data: bytes) -> str:
    """The digest in hex."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """One JSON text for equal values: sorted keys, NFC strings, binary content by its digest.

    Raises `UncacheableError` for a value without a stable form: taking its `repr` instead
    would make two different prompts equal, or one prompt never equal to itself.
    """
    try:
        # json and not orjson: it escapes lone surrogates and takes integers beyond 64 bits.
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise UncacheableError(
            "a value that is nested too deeply, or holds itself, has no stable form to compare "
            "prompts by; such a prompt is not cached"
        ) from None


def digest(*parts: object) -> str:
    """SHA-256 of the canonical form of the parts."""
    return sha256(canonical(parts))


def _plain(value: Any) -> Any:  # noqa: PLR0911  # one return a kind of value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return normal(value)
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return {_FORM + "set": sorted(digest(item) for item in value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {_FORM + "sha256": sha256(bytes(value))}
    return _plain_object(value)


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    made = {_name(key): _plain(item) for key, item in value.items()}
    if len(made) != len(value):
        raise UncacheableError(
            "a mapping has keys that differ in their Unicode form only; such a prompt is not cached"
        )
    return made


def _name(key: object) -> str:
    if not isinstance(key, str):
        return f"{_FORM}{type(key).__name__}:{canonical(key).decode()}"
    return _FORM + normal(key) if key.startswith(_FORM) else normal(key)


def _plain_object(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, type):
        return _plain_type(value)
    if callable(getattr(value, "model_dump", None)):
        return [_plain_type(type(value)), _plain(value.model_dump())]
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return [_plain_type(type(value)), _plain(fields)]
    raise UncacheableError(
        f"a {type(value).__module__}.{type(value).__qualname__} has no stable form to compare "
        "prompts by; such a prompt is not cached"
    )


def _plain_type(kind: type) -> Any:
    """A class by its name, and by its schema where it has one: two of one name may differ."""
    schema = getattr(kind, "model_json_schema", None)
    described = schema() if callable(schema) else _annotations(kind)
    return {_FORM + "class": f"{kind.__module__}.{kind.__qualname__}", "schema": _plain(described)}


def _annotations(kind: type) -> dict[str, str]:
    return {
        name: note if isinstance(note, str) else repr(note)
        for base in reversed(kind.__mro__)
        for name, note in vars(base).get("__annotations__", {}).items()
    }


def make_prompt(
    *,
    kind: str,
    exact: object,
    query: str | None = None,
    namespace: str = "",
    model: str = "",
    turns: Sequence[str] = (),
    temperature: float | None = None,
    exact_only: str = "",
    whole: object = None,
) -> Prompt:
    """Split a request into what must match exactly and the text that may be paraphrased.

    `kind` is the codec's name, so that one framework never meets another's answers; `exact`
    is any value `canonical` takes; `turns` are earlier turns that are compared by meaning,
    which count for the exact match only. `exact_only` says why there is no query. `whole` is the
    prompt that a query was made from, where the query alone does not say what was asked: an exact
    match is one of the whole.
    """
    plain = exact is None or type(exact) is str
    if plain and query and len(query) <= _KEPT and not turns and whole is None:
        return _remembered(kind, exact, query, namespace, model, temperature, exact_only)
    query = normal(query).strip() if query else None
    scope = (_scope_of_text if plain else _scope)(kind, namespace, exact)
    return Prompt(  # by place, which is faster: every lookup makes one
        scope,
        _key(scope, query if whole is None else [whole], turns),
        query or None,
        namespace,
        model,
        tuple(map(normal, turns)) if turns else (),
        temperature,
        exact_only or ("" if query else "the prompt has no question of its own"),
    )


@lru_cache(maxsize=8_192)
def _remembered(  # noqa: PLR0917  # `make_prompt`, for a question that is asked again
    kind: str,
    exact: object,
    query: str,
    namespace: str,
    model: str,
    temperature: float | None,
    exact_only: str,
) -> Prompt:
    query = normal(query).strip()
    scope = _scope_of_text(kind, namespace, exact)
    why = exact_only or ("" if query else "the prompt has no question of its own")
    key = _key(scope, query, ())
    return Prompt(scope, key, query or None, namespace, model, (), temperature, why)


def _scope(kind: str, namespace: str, exact: object) -> str:
    return digest("scope", kind, namespace, exact)


_scope_of_text = lru_cache(maxsize=1024)(_scope)


def _key(scope: str, asked: object, turns: Sequence[str]) -> str:
    if turns or not isinstance(asked, str):
        return digest("key", scope, asked, list(turns))
    # What `digest` makes of a text that is normal already, in a fifth of the time: half of what an
    # exact hit takes is this.
    return sha256(f'["key","{scope}",{json.dumps(asked)},[]]'.encode("ascii"))


def reworded(prompt: Prompt, question: str) -> Prompt:
    """The same request with another question; raises `ConfigError` for one that has none."""
    query = normal(question).strip()
    if not query or prompt.query is None:
        raise ConfigError(f"question: {question!r} was given; give a text, for a prompt with one")
    key = _key(prompt.scope, query, prompt.turns)
    return dataclasses.replace(prompt, query=query, key=key)


def variant(key: str, number: int) -> str:
    """The key of a further answer to the same prompt; number 0 is the prompt's own."""
    return key if number == 0 else digest("variant", key, number)
