"""The mixin that catches templates: all methods by which LlamaIndex fills one and asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from llama_index.core.prompts import BasePromptTemplate
from pydantic import BaseModel

from llamaindex_semcache.objects import Objects, Wanted
from llamaindex_semcache.scope import Lasting, PromptScope, entered

if TYPE_CHECKING:
    from llama_index.core.llms.llm import LLM

    Base = LLM
else:
    Base = object


class Scoped(Base):
    """Mixed in before an LLM class."""

    __slots__ = ()

    def _objects(self) -> Objects | None:
        """How structured predictions are cached that do not go through the chat methods."""
        return None

    def predict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        with entered(PromptScope(prompt, prompt_args)):
            return super().predict(prompt, **prompt_args)

    async def apredict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        with entered(PromptScope(prompt, prompt_args)):
            return await super().apredict(prompt, **prompt_args)

    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> Any:
        lasting = Lasting.of(PromptScope(prompt, prompt_args))
        with lasting.again():
            source = super().stream(prompt, **prompt_args)
        return lasting.over(source)

    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> Any:
        lasting = Lasting.of(PromptScope(prompt, prompt_args))
        with lasting.again():
            source = await super().astream(prompt, **prompt_args)
        return lasting.aover(source)

    def structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        wanted = Wanted(output_cls, prompt, llm_kwargs, prompt_args)
        with entered(wanted.scope):
            if (objects := self._objects()) is not None:
                return objects.ask(wanted)
            return super().structured_predict(*wanted.given, **prompt_args)

    async def astructured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        wanted = Wanted(output_cls, prompt, llm_kwargs, prompt_args)
        with entered(wanted.scope):
            if (objects := self._objects()) is not None:
                return await objects.aask(wanted)
            return await super().astructured_predict(*wanted.given, **prompt_args)

    def stream_structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        wanted = Wanted(output_cls, prompt, llm_kwargs, prompt_args)
        lasting = Lasting.of(wanted.scope)
        if (objects := self._objects()) is not None:
            return lasting.over(_one(objects, wanted))
        with lasting.again():
            source = super().stream_structured_predict(*wanted.given, **prompt_args)
        return lasting.over(source)

    async def astream_structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        wanted = Wanted(output_cls, prompt, llm_kwargs, prompt_args)
        lasting = Lasting.of(wanted.scope)
        if (objects := self._objects()) is not None:
            return lasting.aover(_aone(objects, wanted))
        with lasting.again():
            source = await super().astream_structured_predict(*wanted.given, **prompt_args)
        return lasting.aover(source)


def _one(objects: Objects, wanted: Wanted) -> Iterator[Any]:
    yield objects.ask(wanted)


async def _aone(objects: Objects, wanted: Wanted) -> AsyncIterator[Any]:
    yield await objects.aask(wanted)
