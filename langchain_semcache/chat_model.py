"""`cached(model, cache)`: a twin of a model, which is the model in all but that it remembers.

The twin is of a class made from the model's own, with its name, and shares its state; only the
leaves are replaced, by which LangChain's `invoke`, `stream`, `batch`, events and the rest all ask
the provider. So there is one entry for all of them, and whatever takes the model takes the twin.
"""

from __future__ import annotations

from inspect import signature
from threading import Lock
from typing import Any, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.runnables.base import RunnableBindingBase

from langchain_semcache.asker import OF, PYDANTIC_SLOTS, TWIN, Twinned, original
from langchain_semcache.events import event_leaves_of
from langchain_semcache.leaves import leaves_of
from langchain_semcache.public import HIDDEN, PUBLIC
from langchain_semcache.reading import reading_of
from langchain_semcache.structured import structured_of
from langchain_semcache.text_leaves import text_leaves_of
from semcache_core.cache import SemanticCache
from semcache_core.control import changed, current
from semcache_core.errors import ConfigError
from semcache_core.turns import Turns

M = TypeVar("M")
_making = Lock()
__all__ = ["cached", "original"]


def cached(model: M, cache: SemanticCache, *, turns: Turns | None = None, **settings: Any) -> M:
    """A twin of a chat model or LLM that looks into `cache` first, streams included.

    `cache` is any semcache cache, LlamaIndex's and the core's too; what this package's class takes
    beyond theirs (`question`, `when`, ...) has its default there.
    `turns` and `settings` (the fields of `semcache_core.control.Control`: top_k, factor, session,
    ...) hold for this model. A twin is given its new cache; a binding (`bind`, `bind_tools`,
    `with_retry`) is rebound. A model made with `cache=False` is cached all the same.

    Raises `ConfigError` for what is no model and no binding of one, and for unknown settings.
    """
    reading = reading_of(cache)
    changed(current(), settings)
    if isinstance(model, RunnableBindingBase):
        bound = cached(model.bound, cache, turns=turns, **settings)
        return cast(M, model.model_copy(update={"bound": bound}))
    if not isinstance(model, BaseChatModel | BaseLLM):
        raise ConfigError(
            f"model: a {type(model).__name__} was given; give a chat model or an LLM, and build "
            "chains and structured output on what cached() returns"
        )
    return cast(M, _twin(original(model), Twinned(reading, turns, tuple(sorted(settings.items())))))


def resettled(model: Any, changes: dict[str, Any]) -> Any | None:
    """A twin with other settings; None for a model that is none."""
    how: Twinned | None = getattr(type(model), TWIN, None)
    if how is None:
        return None
    return cached(model, how.cache, turns=how.turns, **{**dict(how.settings), **changes})


def _twin(model: Any, how: Twinned) -> Any:
    """The model's state, shared, under the twin's class."""
    kind = _twin_class(type(model), how)
    twin = kind.__new__(kind)
    state = model.__dict__
    if state.get("cache") is False:
        state = {**state, "cache": None}
    object.__setattr__(twin, "__dict__", state)
    for slot in PYDANTIC_SLOTS:
        object.__setattr__(twin, slot, getattr(model, slot))
    return twin


def _twin_class(kind: type, how: Twinned) -> Any:
    with _making:
        made_with = (kind, how.turns, how.settings)
        known = how.reading.twins.get(made_with)
        if known is None:
            known = _made(kind, how)
            how.reading.twins.put(made_with, known)
        return known


def _made(kind: Any, how: Twinned) -> type:
    names = {key: getattr(kind, key) for key in ("__module__", "__qualname__", "__doc__")}
    twin = type(kind)(kind.__name__, (kind,), names)
    leaves = text_leaves_of(kind) if issubclass(kind, BaseLLM) else leaves_of(kind)
    # Set on the finished class: Pydantic would take some of them for fields.
    common = {OF: kind, TWIN: how, "__reduce__": _reduced, "__eq__": _equal}
    common |= {"__hash__": kind.__hash__}
    if issubclass(kind, BaseChatModel):
        common["with_structured_output"] = structured_of(kind)
    for leaf in leaves.values():
        leaf.__signature__ = signature(leaf)  # LangChain looks at it at every call
    for name, value in (HIDDEN | PUBLIC | leaves | event_leaves_of(kind) | common).items():
        setattr(twin, name, value)
    return cast(type, twin)


def _reduced(twin: Any) -> Any:
    how: Twinned = getattr(type(twin), TWIN)
    return _remade, (original(twin), how.cache, how.turns, dict(how.settings))


def _remade(model: Any, cache: SemanticCache, turns: Turns | None, settings: dict[str, Any]) -> Any:
    return cached(model, cache, turns=turns, **settings)


def _equal(twin: Any, other: Any) -> Any:
    return original(twin) == original(other)
