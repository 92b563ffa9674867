"""Settings of a model of which LangChain shows a cache nothing: a class that names no parameters.

Under `set_llm_cache` two such models are told apart by their type alone. A twin sees the model.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import BaseLanguageModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.load.serializable import Serializable

_SECRET = re.compile(r"(^|_)(key|secret|token|password|headers?)$")
# Of numbers only these: a model may count its calls in a field, and would never be found again.
_NUMBERS = {"temperature", "max_tokens", "top_p", "top_k", "n", "seed", "presence_penalty"}
_NUMBERS |= {"frequency_penalty", "max_new_tokens", "num_predict", "max_output_tokens"}
_LANGCHAINS = {*BaseChatModel.model_fields, *BaseLLM.model_fields}


def unshown(model: BaseChatModel | BaseLLM) -> list[Any]:
    """The class and its settings, if LangChain's own string has none; empty otherwise."""
    kind = type(model)
    if not _shows_nothing(kind):
        return []
    values = {name: getattr(model, name, None) for name in _fields(kind)}
    told = {name: value for name, value in values.items() if _tells(name, value)}
    return [f"{kind.__module__}.{kind.__qualname__}", told]


@lru_cache(maxsize=1024)
def _shows_nothing(kind: type[BaseChatModel | BaseLLM]) -> bool:
    return (
        not kind.is_lc_serializable()
        and kind._identifying_params is BaseLanguageModel._identifying_params
        and kind.lc_attributes is Serializable.lc_attributes
    )


@lru_cache(maxsize=1024)
def _fields(kind: type[BaseChatModel | BaseLLM]) -> tuple[str, ...]:
    return tuple(
        name for name in kind.model_fields if name not in _LANGCHAINS and not _SECRET.search(name)
    )


def _tells(name: str, value: Any) -> bool:
    return isinstance(value, str | bool) or (name in _NUMBERS and isinstance(value, int | float))
