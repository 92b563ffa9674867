"""The twin of an LLM: of a subclass of the provider's class, sharing the original's state.

One class per provider class (LlamaIndex remembers things by class), made when first needed. Its
instances have no state of their own but one slot: what is set on either is seen on both.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from functools import cache as memoized
from typing import Any, cast
from weakref import WeakValueDictionary

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM
from pydantic import model_serializer

from llamaindex_semcache.caching import CHATTING, COMPLETING, Arguments, Caching
from llamaindex_semcache.fingerprint import is_secret, scrubbed
from llamaindex_semcache.objects import Objects, goes_direct
from llamaindex_semcache.scoped import Scoped

_MODEL_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


class Twin(Scoped):
    """Mixed in before a provider's class."""

    __slots__ = ()

    # The methods that end at the provider. LlamaIndex passes `messages` and `prompt` by name.

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return caching_of(self).ask(CHATTING, Arguments(messages, kwargs))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return await caching_of(self).aask(CHATTING, Arguments(messages, kwargs))

    def stream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[ChatResponse, None, None]:
        return caching_of(self).stream(CHATTING, Arguments(messages, kwargs))

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        return await caching_of(self).astream(CHATTING, Arguments(messages, kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return caching_of(self).ask(COMPLETING, _completing(prompt, formatted, kwargs))

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return await caching_of(self).aask(COMPLETING, _completing(prompt, formatted, kwargs))

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> Generator[CompletionResponse, None, None]:
        return caching_of(self).stream(COMPLETING, _completing(prompt, formatted, kwargs))

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> AsyncGenerator[CompletionResponse, None]:
        return await caching_of(self).astream(COMPLETING, _completing(prompt, formatted, kwargs))

    def _objects(self) -> Objects | None:
        return caching_of(self).objects if goes_direct(self) else None

    def as_structured_llm(self, output_cls: Any, **kwargs: Any) -> Any:
        from llamaindex_semcache.structured import CachedStructuredLLM

        return CachedStructuredLLM(llm=self, output_cls=output_cls, **kwargs)

    # Copies are twins of copies; the cache itself is never copied.

    def __copy__(self) -> Any:
        return twin_of(caching_of(self).of(copy.copy(caching_of(self).original)))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        return twin_of(caching_of(self).of(copy.deepcopy(caching_of(self).original, memo)))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Any:
        original = caching_of(self).original.model_copy(update=update, deep=deep)
        return twin_of(caching_of(self).of(original))

    def __reduce_ex__(self, protocol: Any) -> Any:
        caching = caching_of(self)
        _pickled[caching.token] = caching
        return _unpickled, (caching.original, caching.token)

    def __repr_args__(self) -> Any:
        return [(n, v) for n, v in super().__repr_args__() if n is None or not is_secret(n, v)]


def twin_of(caching: Caching) -> Any:
    """The twin of the caching's original."""
    original = caching.original
    cls: Any = _twin_class(_provider_class(original))
    twin: Any = object.__new__(cls)
    for slot in _MODEL_SLOTS:
        object.__setattr__(twin, slot, getattr(original, slot))
    object.__setattr__(twin, "_semcache_caching", caching)
    return twin


def caching_of(twin: Any) -> Caching:
    """What stands behind a twin."""
    caching: Caching = twin._semcache_caching
    return caching


def _provider_class(llm: LLM) -> type[LLM]:
    found: Any = next(kind for kind in type(llm).__mro__ if not issubclass(kind, Scoped))
    return cast(type[LLM], found)


@memoized
def _twin_class(cls: type[LLM]) -> type[LLM]:
    def dumped(self: Any, handler: Any, info: Any) -> dict[str, Any]:
        return scrubbed(handler(self) | {"class_name": self.class_name()})

    # It replaces the base's serialiser, so that no form of dump holds a secret, nested ones too.
    namespace = {
        "__slots__": ("_semcache_caching",),
        "__module__": __name__,
        "custom_model_dump": model_serializer(mode="wrap")(dumped),
    }
    metaclass: Any = type(cls)
    return cast(type[LLM], metaclass(f"Cached{cls.__name__}", (Twin, cls), namespace))


def _completing(prompt: str, formatted: bool, kwargs: dict[str, Any]) -> Arguments:
    # Providers' callbacks record the arguments: only what the caller gave is handed on.
    return Arguments(prompt, kwargs | {"formatted": True} if formatted else kwargs)


_pickled: WeakValueDictionary[str, Caching] = WeakValueDictionary()


def _unpickled(original: Any, token: str) -> Any:
    """In the process that pickled it, the twin; elsewhere, where there is no cache, the LLM."""
    caching = _pickled.get(token)
    return original if caching is None else twin_of(caching.of(original))
