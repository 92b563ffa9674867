"""What `explain` is asked about: a model's request, made here as the model would make it."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.runnables.base import RunnableBindingBase

from langchain_semcache.asker import TWIN, Twinned, original
from langchain_semcache.planning import Plan
from langchain_semcache.reading import Reading
from langchain_semcache.requests import chat_plan, text_plan
from semcache_core.control import settings
from semcache_core.errors import ConfigError, UncacheableError
from semcache_core.models import Prompt

AS_LATEST = "understood as the newest request to this cache, with this question; or give model="
AS_JSON = (
    "understood as get() and put() do; the requests of models are found by the model, too: "
    "explain(question, model=model)"
)


def request_of(reading: Reading, asked: Any, model: Any, kwargs: dict[str, Any]) -> Prompt:
    """The prompt of `model.invoke(asked, **kwargs)`, a call that is not made.

    Raises `ConfigError` for what is no chat model, LLM, or binding of one (`bind_tools`), and
    `UncacheableError` for a request that is not cached.
    """
    while isinstance(model, RunnableBindingBase):
        model, kwargs = model.bound, {**model.kwargs, **kwargs}
    if not isinstance(model, BaseChatModel | BaseLLM):
        raise ConfigError(f"model: a {type(model).__name__} was given; give a chat model or an LLM")
    made_with: Twinned | None = getattr(type(model), TWIN, None)
    how = Twinned(reading, made_with.turns if made_with else None)
    with settings(offline=False):  # nothing is asked here, so nothing is refused
        plan = _plan(how, original(model), asked, dict(kwargs))
    if plan is None:
        raise UncacheableError(
            "this request is not cached: its kind of turn is off, or see the log"
        )
    return plan.prompt


def _plan(
    how: Twinned, model: BaseChatModel | BaseLLM, asked: Any, kwargs: dict[str, Any]
) -> Plan | None:
    said, stop = model._convert_input(asked), kwargs.pop("stop", None)
    if isinstance(model, BaseLLM):
        return text_plan(how, model, said.to_string(), stop, kwargs)
    return chat_plan(how, model, said.to_messages(), stop, kwargs)
