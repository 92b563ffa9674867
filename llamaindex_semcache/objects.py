"""Structured prediction of providers that go to their client directly, past the chat methods.

The object itself is cached then. Everywhere else it is the chat response behind it, which also
serves streams.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import BasePromptTemplate
from pydantic import BaseModel

from llamaindex_semcache.events import tell
from llamaindex_semcache.payload import ObjectCodec
from llamaindex_semcache.policy import Keyed, Keys
from llamaindex_semcache.scope import PromptScope
from semcache_core.asking import Asked, Call
from semcache_core.cache import SemanticCache
from semcache_core.control import SWITCHED_OFF, UNKEYED, current

_ANTHROPIC = "llama_index.llms.anthropic.base"
_CLIENTS = {"Anthropic", "AsyncAnthropic"}  # the others have no such endpoint


def goes_direct(llm: LLM) -> bool:
    """Whether this model's structured prediction calls its client and no chat method."""
    module = sys.modules.get(_ANTHROPIC)
    if module is None or not isinstance(llm, module.Anthropic):
        return False
    supported = getattr(module, "is_anthropic_structured_output_supported", None)
    client = type(getattr(llm, "_client", None)).__name__
    return client in _CLIENTS and supported is not None and bool(supported(llm.model))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The arguments of a structured prediction."""

    output_cls: type[BaseModel]
    template: BasePromptTemplate
    llm_kwargs: dict[str, Any] | None
    args: Mapping[str, Any]

    @property
    def scope(self) -> PromptScope:
        return PromptScope(self.template, self.args, structured=True)

    @property
    def given(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self.output_cls, self.template, self.llm_kwargs


class Objects:
    """Get-or-compute for the objects of one model."""

    def __init__(
        self, original: LLM, cache: SemanticCache, keys: Keys, ttl: float | None = None
    ) -> None:
        self._original = original
        self._cache = cache
        self._keys = keys
        self._ttl = ttl

    def ask(self, wanted: Wanted) -> BaseModel:
        """A stored object, or the model's."""
        keyed, call = self._keyed(wanted), self._call(wanted)
        if keyed is None:
            return call.sync()
        return _told(self._cache.ask(lambda: keyed.prompt, call))

    async def aask(self, wanted: Wanted) -> BaseModel:
        """As `ask`, on the event loop."""
        keyed, call = await self._akeyed(wanted), self._call(wanted)
        if keyed is None:
            return await call.asynchronous()
        return _told(await self._cache.aask(lambda: keyed.prompt, call))

    def _keyed(self, wanted: Wanted) -> Keyed | None:
        control = current()
        keyed = self._cache.attempt(lambda: self._key(wanted)) if control.on else None
        if keyed is None:
            control.past(UNKEYED if control.on else SWITCHED_OFF)
        return keyed

    async def _akeyed(self, wanted: Wanted) -> Keyed | None:
        if self._keys.slow:
            return await asyncio.to_thread(self._keyed, wanted)
        return self._keyed(wanted)

    def _key(self, wanted: Wanted) -> Keyed | None:
        messages = wanted.template.format_messages(llm=self._original, **wanted.args)
        kwargs = {**(wanted.llm_kwargs or {}), "output_cls": wanted.output_cls}
        return self._keys.chat(ObjectCodec.name, messages, kwargs)

    def _call(self, wanted: Wanted) -> Call[BaseModel]:
        return Call(
            ObjectCodec(wanted.output_cls),
            sync=lambda: self._original.structured_predict(*wanted.given, **wanted.args),
            asynchronous=lambda: self._original.astructured_predict(*wanted.given, **wanted.args),
            ttl=self._ttl,
        )


def _told(asked: Asked[BaseModel]) -> BaseModel:
    if asked.hit is not None:
        tell(asked.hit, asked.answer.model_dump_json())
    return asked.answer
