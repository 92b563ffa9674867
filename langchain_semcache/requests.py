"""From what a leaf of a model is called with to a plan: the real arguments, not their string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from langchain_semcache import llm_string
from langchain_semcache.asker import Twinned
from langchain_semcache.expected import expected
from langchain_semcache.planning import Plan
from langchain_semcache.prompts import Message, from_messages
from langchain_semcache.unshown import unshown

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.language_models.llms import BaseLLM
    from langchain_core.messages import BaseMessage


def chat_plan(
    how: Twinned,
    model: BaseChatModel,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    kwargs: Mapping[str, Any],
) -> Plan | None:
    """What to do with a chat model's call; None: nothing. A failure is logged and counted."""
    if model.cache is False:
        how.control().past("the model is made with cache=False")
        return None

    def plan() -> Plan:
        # `stream` says how the answer comes and nothing of what it is.
        given = {key: value for key, value in kwargs.items() if key != "stream"}
        text = model._get_llm_string(stop=stop, **given)
        return _plan(how, from_messages(messages), text, kwargs, unshown(model))

    return how.reading.usable(plan, how.control)


def text_plan(
    how: Twinned, model: BaseLLM, prompt: str, stop: list[str] | None, kwargs: Mapping[str, Any]
) -> Plan | None:
    """As `chat_plan`, for an LLM that completes a text."""
    if model.cache is False:
        how.control().past("the model is made with cache=False")
        return None

    def plan() -> Plan:
        # LangChain leaves the call's arguments out; without any the strings are the same.
        params = {**model.dict(), "stop": stop, **kwargs}
        return _plan(how, prompt, str(sorted(params.items())), kwargs, unshown(model))

    return how.reading.usable(plan, how.control)


def _plan(
    how: Twinned,
    asked: list[Message] | str,
    text: str,
    kwargs: Mapping[str, Any],
    besides: list[Any],
) -> Plan:
    namespace = how.cache.running_namespace()
    params = llm_string.read(text)
    # What a class's name stands for can change, and a model that reads may have failed this once.
    known = None
    if not params.classes and not how.planner.slow:
        known = (_fingerprint(asked), text, str(besides), namespace, how.turns)
    plan = how.reading.plans.get(known) if known and known[0] else None
    if plan is None:
        exact = [text, llm_string.schemas(params, text, kwargs), *besides]
        plan = how.planner.plan(asked, params, exact, namespace, expected(kwargs))
        if known and known[0]:
            how.reading.plans.put(known, plan)
    return plan


def _fingerprint(asked: list[Message] | str) -> bytes | str | None:
    """The request as a dictionary's key; None if it is not plain."""
    if isinstance(asked, str):
        return asked
    try:
        return orjson.dumps(asked)
    except TypeError:  # a message holds an object, or an integer beyond 64 bits
        return None
