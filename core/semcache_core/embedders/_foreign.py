"""What all adapters of others' embedders share: identity, window, checks, sync and async."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from semcache_core.embedders._vectors import (
    encodable,
    failing_as_embedder,
    plain,
    unit_rows,
)
from semcache_core.errors import ConfigError
from semcache_core.models import Matrix
from semcache_core.steps import Flow, Step, arun, run

_TELLING = (
    "model",
    "model_name",
    "model_id",
    "model_path",
    "repo_id",
    "deployment",
    "deployment_name",
    "azure_deployment",
    "engine",
    "revision",
    "dimensions",
    "output_dimensionality",
    "size",
    "normalize",
    "normalize_embeddings",
    "query_instruction",
    "text_instruction",
)
"""What tells an embedder's vectors apart and is no secret, as keys, URLs and headers may be."""
_LONGEST_FIELD = 200
_WINDOWS = ("max_tokens", "embedding_ctx_length", "max_seq_length", "max_length")
_INSIDE = ("_model", "_client", "client")
"""Where wrappers of sentence-transformers keep it."""
_DEFAULT_WINDOW = 512
"""Word pieces: what most local models see."""
_BYTES_A_PIECE = 2
"""Of UTF-8. English text has 4 or 5 and numbers 2: what passes is not cut off."""
_AT_ONCE = 8
"""Requests that one batch makes at the same time."""


class ForeignEmbedder(ABC):
    """A `protocols.Embedder` around somebody else's; subclasses say how to call it.

    `identity` names model and weights; without it, class and model name do. `window`: word pieces
    that the model sees; without it, what the object tells, or 512. A text counts as fitting when it
    has at most two bytes a piece: a foreign tokenizer cannot be asked, and what a model silently
    cuts off makes different texts equal.
    """

    native_async = False

    def __init__(
        self, target: Any, *, identity: str | None = None, window: int | None = None
    ) -> None:
        if window is not None and (not isinstance(window, int) or window < 1):
            raise ConfigError(f"window: {window!r} was given; it is a number of word pieces")
        self._target = target
        self._name = described(target)
        self._identity = identity or f"{type(self).__name__}:{self._name}"
        self.anonymous = identity is None and "(" not in self._name
        """Whether the identity is but the name of a class or function: others may be called so."""
        self._longest = (window or _window_of(target)) * _BYTES_A_PIECE
        self._dimension: int | None = None

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimension(self) -> int:
        """Learnt from the first vectors; asked for before, it takes one call."""
        if self._dimension is None:
            self.embed(["dimension"])
        return self._dimension or 0

    def fits(self, text: str) -> bool:
        """Whether the text is surely short enough for the model to see all of it."""
        if len(text) > self._longest:
            return False
        return encodable(text) and len(text.encode()) <= self._longest

    def embed(self, texts: Sequence[str]) -> Matrix:
        return run(self._embed(plain(texts)))

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        return await arun(self._embed(plain(texts)))

    @abstractmethod
    def _vectors(self, texts: list[str]) -> Flow[Any]:
        """One vector a text; there is at least one text."""

    def _embed(self, texts: list[str]) -> Flow[Matrix]:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with failing_as_embedder(self._name):
            rows = yield from self._vectors(texts)
        matrix = unit_rows(rows, len(texts), self._name, self._dimension)
        self._dimension = matrix.shape[1]
        return matrix


def each(
    sync: Callable[[str], Any], asynchronous: Callable[[str], Awaitable[Any]], texts: list[str]
) -> Flow[list[Any]]:
    """A call a text: one after the other, or several at once on an event loop."""
    rows: list[Any] = yield Step(
        lambda: [sync(text) for text in texts], lambda: _gathered(asynchronous, texts)
    )
    return rows


async def _gathered(call: Callable[[str], Awaitable[Any]], texts: list[str]) -> list[Any]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(text: str) -> Any:
        async with limit:
            return await call(text)

    return await asyncio.gather(*map(one, texts))


def described(target: Any) -> str:
    """Class or function, with the fields that tell models apart; never a secret."""
    if isinstance(target, partial):
        return f"{described(target.func)}{_fields(target.keywords.get)}"
    if hasattr(target, "__qualname__"):
        owner = getattr(target, "__self__", None)
        bound = "" if owner is None or isinstance(owner, type) else f"{described(owner)}."
        return f"{bound}{target.__module__}.{target.__qualname__}"
    kind = type(target)
    return f"{kind.__module__}.{kind.__qualname__}{_fields(partial(_attribute, target))}"


def _fields(get: Callable[[str], Any]) -> str:
    found = ((name, get(name)) for name in _TELLING)
    told = [
        f"{name}={value}"
        for name, value in found
        if isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_FIELD
    ]
    return f"({', '.join(told)})" if told else ""


def _window_of(target: Any) -> int:
    inside = (_attribute(target, name) for name in _INSIDE)
    for owner in (target, *inside):
        for name in _WINDOWS:
            found = _attribute(owner, name)
            if callable(found):
                found = _called(found)
            if isinstance(found, int) and not isinstance(found, bool) and found > 0:
                return found
    return _DEFAULT_WINDOW


def _called(method: Any) -> Any:
    try:
        return method()
    except Exception:  # noqa: BLE001  # somebody else's method of that name
        return None


def _attribute(target: Any, name: str) -> Any:
    try:
        return getattr(target, name, None)
    except Exception:  # noqa: BLE001  # somebody else's property
        return None
