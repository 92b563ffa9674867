"""The leaves of a model that produces LangChain's protocol events itself (`stream_events` v3).

Without them LangChain makes the events of `_stream`'s chunks, and the twin's `_stream` serves.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_semcache.leaves import ChatAsk
from langchain_semcache.payload import served
from langchain_semcache.planning import Plan
from langchain_semcache.results import ChatResults
from semcache_core.models import Hit
from semcache_core.streaming import StreamCall, astreamed, streamed

_FINISH = "message-finish"


def event_leaves_of(kind: type[BaseChatModel]) -> dict[str, Any]:
    """What a twin of this class has in place of the model's own."""
    ours = {"_stream_chat_model_events": _events, "_astream_chat_model_events": _aevents}
    return {name: leaf for name, leaf in ours.items() if getattr(kind, name, None) is not None}


def _events(
    self: BaseChatModel,
    messages: list[BaseMessage],
    *,
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> Iterator[Any]:
    ask = ChatAsk.of(self, messages, stop, kwargs, run_manager)
    plan = ask.plan()
    events = _asked(ask)
    if plan is not None:
        call = _call(ask, plan)
        events = streamed(ask.how.cache, lambda: plan.prompt, call, ask.how.control())
    with closing(events) as opened:  # type: ignore[type-var]  # a generator
        for event in opened:
            # LangChain stops reading at the finish; what is stored is a stream read to its end.
            rest = list(opened) if event["event"] == _FINISH else []
            yield event
            yield from rest


async def _aevents(
    self: BaseChatModel,
    messages: list[BaseMessage],
    *,
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> AsyncIterator[Any]:
    ask = ChatAsk.of(self, messages, stop, kwargs, run_manager)
    plan = await ask.how.reading.planned(ask.plan)
    events = _aasked(ask)
    if plan is not None:
        call = _call(ask, plan)
        events = await astreamed(ask.how.cache, lambda: plan.prompt, call, ask.how.control())
    async with aclosing(events) as opened:  # type: ignore[type-var]  # a generator
        async for event in opened:
            rest = [after async for after in opened] if event["event"] == _FINISH else []
            yield event
            for after in rest:
                yield after


def _asked(ask: ChatAsk) -> Iterator[Any]:
    ask.limit()
    native = ask.model._stream_chat_model_events  # type: ignore[attr-defined]  # it has it
    yield from native(ask.asked, stop=ask.stop, **ask.silent())


async def _aasked(ask: ChatAsk) -> AsyncIterator[Any]:
    await ask.alimit()
    native = ask.model._astream_chat_model_events  # type: ignore[attr-defined]  # it has it
    async with aclosing(native(ask.asked, stop=ask.stop, **ask.silent())) as events:
        async for event in events:
            yield event


def _call(ask: ChatAsk, plan: Plan) -> StreamCall[ChatResult, Any]:
    return StreamCall(
        ChatResults(ask.model.output_version),
        lambda: _asked(ask),
        lambda: _aasked(ask),
        join=_joined,
        replay=_replayed,
        copy=copy.deepcopy,
        **plan.of_results(),
    )


def _joined(events: Sequence[Any]) -> ChatResult:
    """The events as the message they amount to; raises `ValueError` if they are none."""
    from langchain_core.language_models.chat_model_stream import ChatModelStream

    stream = ChatModelStream()
    for event in events:
        stream.dispatch(event)
    if not stream.done:
        stream.dispatch({"event": _FINISH})
    if stream.output_message is None:
        raise ValueError("the events make no message")
    return ChatResult(generations=[ChatGeneration(message=stream.output_message)])


def _replayed(hit: Hit) -> list[Any]:
    from langchain_core.language_models._compat_bridge import message_to_events

    (generation,) = hit.answer.generations
    served([generation], hit.mark)
    return list(message_to_events(generation.message))
