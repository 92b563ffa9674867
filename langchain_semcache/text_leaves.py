"""The leaves of a plain LLM's twin: texts in, texts out, several prompts at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.llms import BaseLLM
from langchain_core.outputs import GenerationChunk, LLMResult

from langchain_semcache.leaf import Ask, replaced
from langchain_semcache.payload import MARK, fresh
from langchain_semcache.planning import Plan
from langchain_semcache.replay import text_chunks
from langchain_semcache.reporting import fresh_mark
from langchain_semcache.requests import text_plan
from langchain_semcache.results import TextResults, joined_text
from langchain_semcache.traced import given
from semcache_core.asking import Asked, Call
from semcache_core.models import Hit
from semcache_core.streaming import StreamCall, astreamed, streamed
from semcache_core.together import Calls

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache


def text_leaves_of(kind: type[BaseLLM]) -> dict[str, Any]:
    """What a twin of this class has in place of the model's own."""
    ours = {"_generate": _generate, "_agenerate": _agenerate}
    return replaced(kind, BaseLLM, ours | {"_stream": _stream, "_astream": _astream})


class TextAsk(Ask[BaseLLM, list[str]]):
    """Prompts in, a result for each out."""

    __slots__ = ()

    def plans(self) -> list[Plan | None]:
        """What to do with each prompt."""
        given = self.how, self.model
        return [text_plan(*given, prompt, self.stop, self.kwargs) for prompt in self.asked]

    def generate(self, numbers: list[int]) -> list[LLMResult]:
        """The model's own answers to some of the prompts."""
        given = self.given(self.model._generate)
        chosen = [self.asked[number] for number in numbers]
        return self.model._generate(chosen, self.stop, **given).flatten()

    async def agenerate(self, numbers: list[int]) -> list[LLMResult]:
        """As `generate`, on the event loop."""
        given = self.given(self.model._agenerate)
        chosen = [self.asked[number] for number in numbers]
        return (await self.model._agenerate(chosen, self.stop, **given)).flatten()

    def stream(self) -> Iterator[GenerationChunk]:
        """The model's own chunks."""
        yield from self.model._stream(self.asked[0], self.stop, **self.silent())

    async def astream(self) -> AsyncIterator[GenerationChunk]:
        """As `stream`, on the event loop."""
        async with aclosing(
            self.model._astream(self.asked[0], self.stop, **self.silent())  # type: ignore[type-var]  # a generator
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    def calls(self, plans: list[Plan | None]) -> Calls[LLMResult]:
        """How the cache asks."""
        return Calls(self.generate, self.agenerate, lambda number: self._alone(number, plans))

    def _alone(self, number: int, plans: list[Plan | None]) -> Call[LLMResult]:
        async def later() -> LLMResult:
            return (await self.agenerate([number]))[0]

        plan = plans[number]
        rules = {} if plan is None else plan.of_results()
        return Call(TextResults(), lambda: self.generate([number])[0], later, **rules)


# -- whole answers -------------------------------------------------------------------------------


def _generate(
    self: BaseLLM,
    prompts: list[str],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> LLMResult:
    ask = TextAsk.of(self, prompts, stop, kwargs, run_manager)
    plans = ask.plans()
    asked = ask.how.cache.ask_all(_prompts(plans), ask.calls(plans), ask.how.control())
    return _told(ask.how.cache, asked)


async def _agenerate(
    self: BaseLLM,
    prompts: list[str],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> LLMResult:
    ask = TextAsk.of(self, prompts, stop, kwargs, run_manager)
    plans = await ask.how.reading.planned(ask.plans)
    cache, control = ask.how.cache, ask.how.control()
    return _told(cache, await cache.aask_all(_prompts(plans), ask.calls(plans), control))


def _prompts(plans: Sequence[Plan | None]) -> list[Any]:
    return [None if plan is None else plan.prompt for plan in plans]


def _told(cache: SemanticCache, asked: Sequence[Asked[LLMResult]]) -> LLMResult:
    """The answers, those from the cache marked; what the model reported stays with the first."""
    if len(asked) == 1 and (outcome := asked[0].outcome) is not None:  # of several none is the last
        given(cache, outcome.mark if isinstance(outcome, Hit) else fresh_mark(outcome.prompt.key))
    for one in asked:
        if one.hit is not None:
            _mark(one.answer.generations[0][0], one.hit)
    reports = [one.answer.llm_output for one in asked if one.answer.llm_output]
    return LLMResult(
        generations=[one.answer.generations[0] for one in asked],
        llm_output=reports[0] if reports else None,
    )


def _mark(generation: Any, hit: Hit) -> None:
    generation.generation_info = {**(generation.generation_info or {}), MARK: hit.mark}


# -- streams -------------------------------------------------------------------------------------


def _stream(
    self: BaseLLM,
    prompt: str,
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> Iterator[GenerationChunk]:
    ask = TextAsk.of(self, [prompt], stop, kwargs, run_manager)
    (plan,) = ask.plans()
    chunks = ask.stream()
    if plan is not None:
        call, control = _stream_call(ask, plan), ask.how.control()
        chunks = streamed(ask.how.cache, lambda: plan.prompt, call, control)
    with closing(chunks) as opened:  # type: ignore[type-var]  # a generator
        for chunk in opened:
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def _astream(
    self: BaseLLM,
    prompt: str,
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> AsyncIterator[GenerationChunk]:
    ask = TextAsk.of(self, [prompt], stop, kwargs, run_manager)
    (plan,) = await ask.how.reading.planned(ask.plans)
    chunks = ask.astream()
    if plan is not None:
        call, control = _stream_call(ask, plan), ask.how.control()
        chunks = await astreamed(ask.how.cache, lambda: plan.prompt, call, control)
    async with aclosing(chunks) as opened:  # type: ignore[type-var]  # a generator
        async for chunk in opened:
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _stream_call(ask: TextAsk, plan: Plan) -> StreamCall[LLMResult, GenerationChunk]:
    cache = ask.how.cache
    given(cache, fresh_mark(plan.prompt.key))  # a hit is noted after it, when it is replayed
    return StreamCall(
        TextResults(),
        ask.stream,
        ask.astream,
        join=joined_text,
        replay=lambda hit: _replayed(cache, hit),
        copy=fresh,
        **plan.of_results(),
    )


def _replayed(cache: SemanticCache, hit: Hit) -> list[GenerationChunk]:
    given(cache, hit.mark)
    ((generation,),) = hit.answer.generations
    _mark(generation, hit)
    return list(text_chunks(generation))
