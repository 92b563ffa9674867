"""What tells one model from another: class, metadata, every setting that can change an answer.

Left out are secrets and what only says how the provider is reached: rotating a key or raising a
timeout leaves the cache warm, changing the temperature does not. Nothing of it is stored: the
values are hashed.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType
from typing import Any

from llama_index.core.llms.llm import LLM
from llama_index.core.tools import BaseTool
from pydantic import BaseModel

from semcache_core.errors import UncacheableError
from semcache_core.keys import canonical, sha256

SECRET = re.compile(
    r"(^|_)(api_?key|secret|password|passwd|credentials?|authorization|cookies?|headers?)($|_)"
    r"|(^|_)(access|auth|api|bearer|session|refresh|security|id)_?token$"
    r"|(^|_)access_key",
    re.IGNORECASE,
)
OPERATIONAL = {
    "callback_manager",
    "rate_limiter",
    "max_retries",
    "timeout",
    "request_timeout",
    "reuse_client",
    "verbose",
    "http_client",
    "async_http_client",
}
# A model that changes one of these in the middle of a call means it.
_SETTINGS = {
    "model",
    "model_name",
    "temperature",
    "max_tokens",
    "top_p",
    "system_prompt",
    "additional_kwargs",
    "generate_kwargs",
    "model_kwargs",
}
_SCALAR = (str, bool, int, float)


class Settings:
    """The identity of an object by its settings, as they are now.

    An object may keep books in its own fields (a counter, the last messages). What changes while
    it is at work is such a book and no setting, so it stays at its value before the call.
    """

    def __init__(self, subject: Any) -> None:
        self._pinned = _pins(subject)

    def current(self) -> str:
        """The digest; changes when a setting does."""
        fields = self.settled()
        return sha256(b"\0".join(name.encode() + b"=" + fields[name] for name in sorted(fields)))

    def settled(self) -> dict[str, bytes]:
        """The settings, with the object's own books at their first values."""
        return self.fields() | self._pinned

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around the work: what the object changes of itself is not taken for a setting."""
        before = self.fields()
        try:
            yield
        finally:
            after = self.fields()
            for name in before.keys() | after.keys():
                own = name.rpartition(".")[2]
                if before.get(name) != after.get(name) and own not in _SETTINGS:
                    self._pinned.setdefault(name, before.get(name, b""))

    def fields(self) -> dict[str, bytes]:
        """Every setting by its name."""
        raise NotImplementedError


class Fingerprint(Settings):
    """The identity of one model object."""

    def __init__(self, llm: LLM) -> None:
        super().__init__(llm)
        self._llm = llm

    def fields(self) -> dict[str, bytes]:
        """Class, metadata, and fields; of the private attributes the plain values and the models.

        A model that hands its calls on to another (an adapter of another library's, a wrapper of
        the user's) keeps that in a private attribute, and says nothing of it in its fields.
        """
        fields = type(self._llm).model_fields
        found = {
            "class": class_name(self._llm).encode(),
            "metadata": self._llm.metadata.model_dump_json().encode(),
        }
        for name, info in fields.items():
            value = getattr(self._llm, name, None)
            if _tells(name, value) and (not info.exclude or callable(value)):
                found[name] = told(value)
            elif headers := open_headers(name, value):
                found[name] = told(headers)
        for name, value in (self._llm.__pydantic_private__ or {}).items():
            if isinstance(value, _SCALAR) and _tells(name, value):
                found[name] = told(value)
            elif (within := _model_within(value)) is not None:
                found[name] = within
        return found


def _model_within(value: Any) -> bytes | None:
    """An LLM by its fingerprint; another library's by the parameters that it says identify it."""
    if isinstance(value, LLM):
        fields = Fingerprint(value).settled()
        return b"\0".join(name.encode() + b"=" + fields[name] for name in sorted(fields))
    params = getattr(value, "_identifying_params", None)  # LangChain's word
    if not isinstance(params, Mapping):
        return None
    shown = {str(name): part for name, part in params.items() if not is_secret(str(name), part)}
    return canonical(class_name(value)) + told(shown)


def scrubbed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A model's fields without those that hold secrets."""
    return {name: value for name, value in values.items() if not is_secret(name, value)}


def is_secret(name: str, value: Any) -> bool:
    """By its name, or by pydantic's type for secrets."""
    return _named_like_a_secret(name) or hasattr(value, "get_secret_value")


def open_headers(name: str, value: Any) -> dict[str, Any]:
    """Of a field of headers those that are no secrets: a tenant's name, a provider's switch."""
    if not (name.endswith("headers") and isinstance(value, Mapping)):
        return {}
    named = {str(header).lower().replace("-", "_"): text for header, text in value.items()}
    return scrubbed(named)


@lru_cache(maxsize=4096)
def _named_like_a_secret(name: str) -> bool:
    return SECRET.search(name) is not None


def stable(value: Any) -> Any:
    """A call's argument in a form that `canonical` takes: tools by what the model is told of them.

    Raises `UncacheableError` for what has no such form.
    """
    if isinstance(value, BaseTool):
        told = value.metadata
        return ["tool", told.name, told.description, told.get_parameters_dict()]
    if isinstance(value, Mapping):
        return {name: stable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [stable(item) for item in value]
    if isinstance(value, BaseModel):
        return [class_name(value), stable(value.model_dump(exclude_none=True))]
    return value


def _tells(name: str, value: Any) -> bool:
    return name not in OPERATIONAL and not is_secret(name, value)


@lru_cache(maxsize=4096, typed=True)
def _scalar_bytes(value: Any) -> bytes:
    return canonical(value)


def told(value: Any) -> bytes:
    """Canonical, or the name of what has no canonical form (a tokenizer, a function)."""
    if value is None or type(value) in _SCALAR:
        return _scalar_bytes(value)
    if callable(value):
        return canonical(_name_of(value))
    try:
        return canonical(stable(value))
    except (UncacheableError, TypeError, ValueError, RecursionError):
        return canonical(_name_of(value))


def _name_of(value: Any) -> list[str]:
    if not callable(value) or not hasattr(value, "__qualname__"):
        return [class_name(value)]
    name = [f"{value.__module__}.{value.__qualname__}"]
    if isinstance(value, FunctionType) and "<" in value.__qualname__:
        # Two lambdas of one line share a name, and templates for prompts are often lambdas.
        name += [value.__code__.co_code.hex(), repr(value.__code__.co_consts)]
    return name


def class_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


_all_pins: dict[int, dict[str, bytes]] = {}


def _pins(subject: Any) -> dict[str, bytes]:
    """Shared by all who wrap this object; models are not hashable, so they go by id."""
    if id(subject) not in _all_pins:
        weakref.finalize(subject, _all_pins.pop, id(subject), None)
    return _all_pins.setdefault(id(subject), {})
