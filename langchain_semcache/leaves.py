"""The leaves of a chat model's twin: `_generate`, `_stream`, and their asynchronous forms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_semcache.leaf import Ask, replaced
from langchain_semcache.payload import ID, fresh, served
from langchain_semcache.planning import Plan
from langchain_semcache.replay import chat_chunks
from langchain_semcache.reporting import fresh_mark
from langchain_semcache.requests import chat_plan
from langchain_semcache.results import ChatResults, joined
from langchain_semcache.traced import given
from semcache_core.asking import Asked, Call
from semcache_core.models import Hit
from semcache_core.streaming import StreamCall, astreamed, streamed

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache

G = TypeVar("G", bound=ChatGeneration)


def leaves_of(kind: type[BaseChatModel]) -> dict[str, Any]:
    """What a twin of this class has in place of the model's own."""
    ours = {"_generate": _generate, "_agenerate": _agenerate}
    return replaced(kind, BaseChatModel, ours | {"_stream": _stream, "_astream": _astream})


class ChatAsk(Ask[BaseChatModel, list[BaseMessage]]):
    """Messages in, one result out."""

    __slots__ = ()

    def plan(self) -> Plan | None:
        """What to do with this call; None: nothing but to make it."""
        return chat_plan(self.how, self.model, self.asked, self.stop, self.kwargs)

    def generate(self) -> ChatResult:
        """The model's own answer. The rate limiter is passed here, so that hits do not wait."""
        self.limit()
        given = self.given(self.model._generate)
        return self.model._generate(self.asked, self.stop, **given)

    async def agenerate(self) -> ChatResult:
        """As `generate`, on the event loop."""
        await self.alimit()
        given = self.given(self.model._agenerate)
        return await self.model._agenerate(self.asked, self.stop, **given)

    def stream(self) -> Iterator[ChatGenerationChunk]:
        """The model's own chunks."""
        self.limit()
        yield from self.model._stream(self.asked, self.stop, **self.silent())

    async def astream(self) -> AsyncIterator[ChatGenerationChunk]:
        """As `stream`, on the event loop."""
        await self.alimit()
        async with aclosing(
            self.model._astream(self.asked, self.stop, **self.silent())  # type: ignore[type-var]  # a generator
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    def limit(self) -> None:
        """Wait for the model's rate limiter."""
        if self.model.rate_limiter is not None:
            self.model.rate_limiter.acquire(blocking=True)

    async def alimit(self) -> None:
        """As `limit`, on the event loop."""
        if self.model.rate_limiter is not None:
            await self.model.rate_limiter.aacquire(blocking=True)


# -- whole answers -------------------------------------------------------------------------------


def _generate(
    self: BaseChatModel,
    messages: list[BaseMessage],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> ChatResult:
    ask = ChatAsk.of(self, messages, stop, kwargs, run_manager)
    plan = ask.plan()
    if plan is None:
        return ask.generate()
    cache, control = ask.how.cache, ask.how.control()
    return _told(cache, cache.ask(lambda: plan.prompt, _call(ask, plan), control))


async def _agenerate(
    self: BaseChatModel,
    messages: list[BaseMessage],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> ChatResult:
    ask = ChatAsk.of(self, messages, stop, kwargs, run_manager)
    plan = await ask.how.reading.planned(ask.plan)
    if plan is None:
        return await ask.agenerate()
    cache, control = ask.how.cache, ask.how.control()
    return _told(cache, await cache.aask(lambda: plan.prompt, _call(ask, plan), control))


def _call(ask: ChatAsk, plan: Plan) -> Call[ChatResult]:
    codec = ChatResults(ask.model.output_version)
    return Call(codec, ask.generate, ask.agenerate, **plan.of_results())


def _told(cache: SemanticCache, asked: Asked[ChatResult]) -> ChatResult:
    """The answer, saying where it came from."""
    result = asked.answer
    if asked.hit is not None:
        served(result.generations, asked.hit.mark)
        given(cache, asked.hit.mark)
        return result
    if asked.outcome is None:
        return result
    given(cache, fresh_mark(asked.outcome.prompt.key))
    named = [_named(one, asked.outcome.prompt.key) for one in result.generations]
    return ChatResult(generations=named, llm_output=result.llm_output)


def _named(generation: G, key: str) -> G:
    """A fresh answer with the id it is stored under: a copy, since some models keep theirs."""
    message = generation.message
    metadata = {**message.response_metadata, ID: key}
    update = {"message": message.model_copy(update={"response_metadata": metadata})}
    return generation.model_copy(update=update)


# -- streams -------------------------------------------------------------------------------------


def _stream(
    self: BaseChatModel,
    messages: list[BaseMessage],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> Iterator[ChatGenerationChunk]:
    ask = ChatAsk.of(self, messages, stop, kwargs, run_manager)
    with closing(_chunks(ask)) as chunks:  # type: ignore[type-var]  # a generator
        for chunk in chunks:
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def _astream(
    self: BaseChatModel,
    messages: list[BaseMessage],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> AsyncIterator[ChatGenerationChunk]:
    ask = ChatAsk.of(self, messages, stop, kwargs, run_manager)
    async with aclosing(await _achunks(ask)) as chunks:  # type: ignore[type-var]  # a generator
        async for chunk in chunks:
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _chunks(ask: ChatAsk) -> Iterator[ChatGenerationChunk]:
    plan = ask.plan()
    if plan is None:
        return ask.stream()
    call = _stream_call(ask, plan)
    return streamed(ask.how.cache, lambda: plan.prompt, call, ask.how.control())


async def _achunks(ask: ChatAsk) -> AsyncIterator[ChatGenerationChunk]:
    plan = await ask.how.reading.planned(ask.plan)
    if plan is None:
        return ask.astream()
    call = _stream_call(ask, plan)
    return await astreamed(ask.how.cache, lambda: plan.prompt, call, ask.how.control())


def _stream_call(ask: ChatAsk, plan: Plan) -> StreamCall[ChatResult, ChatGenerationChunk]:
    cache = ask.how.cache
    given(cache, fresh_mark(plan.prompt.key))  # a hit is noted after it, when it is replayed
    return StreamCall(
        ChatResults(ask.model.output_version),
        lambda: _marked(ask.stream(), plan.prompt.key),
        lambda: _amarked(ask.astream(), plan.prompt.key),
        join=joined,
        replay=lambda hit: _noted(cache, hit),
        copy=fresh,
        **plan.of_results(),
    )


def _noted(cache: SemanticCache, hit: Hit) -> list[ChatGenerationChunk]:
    given(cache, hit.mark)
    return replayed(hit)


def replayed(hit: Hit) -> list[ChatGenerationChunk]:
    """A stored answer as chunks; raises `ValueError` where a stream cannot carry it (n > 1)."""
    (generation,) = hit.answer.generations
    served([generation], hit.mark)
    return list(chat_chunks(generation))


def _marked(chunks: Iterator[ChatGenerationChunk], key: str) -> Iterator[ChatGenerationChunk]:
    """The first chunk says under which id the answer will be stored."""
    for number, chunk in enumerate(chunks):
        yield chunk if number else _named(chunk, key)


async def _amarked(
    chunks: AsyncIterator[ChatGenerationChunk], key: str
) -> AsyncIterator[ChatGenerationChunk]:
    first = True
    async with aclosing(chunks):  # type: ignore[type-var]  # a generator
        async for chunk in chunks:
            yield _named(chunk, key) if first else chunk
            first = False
