"""Warming a cache through LangChain: the call that the program makes, as a function of a question.

LangChain looks into the cache of a model, else into the global one; so while warming, the cache to
warm is the global one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel, BaseLanguageModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable
from langsmith import tracing_context

from langchain_semcache.asker import TWIN
from langchain_semcache.payload import CODEC
from langchain_semcache.prompts import parse
from langchain_semcache.results import ChatResults
from semcache_core.errors import ConfigError
from semcache_core.protocols import Codec
from semcache_core.warming import running


class _Given:
    """What a `BaseCache` is asked for: generations, of a chat model or of a plain one."""

    name = CODEC.name
    decode = CODEC.decode
    encode = CODEC.encode
    text = CODEC.text

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat

    def from_text(self, text: str) -> list[Any]:
        """A model's answer that says just this."""
        return ChatResults().from_text(text).generations if self._chat else [Generation(text=text)]


_GIVEN = {chat: _Given(chat=chat) for chat in (True, False)}


def codec_for(prompt: str) -> Codec[Any]:
    """The codec of a `BaseCache`'s lookup; while warming, one that makes answers of texts."""
    return CODEC if running() is None else _GIVEN[not isinstance(parse(prompt), str)]


@contextmanager
def warming_through(
    cache: BaseCache, model: Any, system: str | None
) -> Iterator[Callable[[str], Any]]:
    """The call, with this cache in force and nothing traced. Raises `ConfigError`."""
    call = _call(model, system)
    before = get_llm_cache()
    set_llm_cache(cache)
    try:
        with tracing_context(enabled=False):
            yield call
    finally:
        set_llm_cache(before)


def _call(model: Any, system: str | None) -> Callable[[str], Any]:
    if isinstance(model, BaseLanguageModel):
        if model.cache is False and not hasattr(type(model), TWIN):
            raise ConfigError("model: it was made with cache=False, so nothing would be found")
        if isinstance(model, BaseChatModel):
            before = [SystemMessage(system)] if system else []
            return lambda question: model.invoke([*before, HumanMessage(question)])
    if system is not None:
        raise ConfigError("system: only a chat model takes one; a chain has its own")
    if isinstance(model, Runnable):
        name = _variable(model)
        return lambda question: model.invoke({name: question} if name else question)
    if callable(model):
        return model  # type: ignore[no-any-return]  # whatever it returns is not looked at
    raise ConfigError(
        f"model: {model!r} was given; give a model, a runnable, or a function of a question"
    )


def _variable(chain: Runnable[Any, Any]) -> str | None:
    """The one variable that a chain wants; None if it takes the question itself."""
    try:
        schema = chain.get_input_jsonschema()
    except Exception:  # noqa: BLE001  # a runnable that cannot say takes what it is given
        return None
    names = list(schema.get("properties", ())) if schema.get("type") == "object" else []
    if len(names) > 1:
        raise ConfigError(
            f"model: the chain takes the variables {', '.join(names)}; hand over a function of a "
            "question that fills in the others"
        )
    return names[0] if names else None
