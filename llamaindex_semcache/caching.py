"""One model behind one cache: every way of asking it, as get-or-compute."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from uuid import uuid4

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM

from llamaindex_semcache import answers
from llamaindex_semcache.events import tell
from llamaindex_semcache.objects import Objects
from llamaindex_semcache.payload import CHAT, COMPLETION, ResponseCodec
from llamaindex_semcache.policy import Keyed, Keys, Rules
from semcache_core.asking import Asked, Call
from semcache_core.cache import SemanticCache
from semcache_core.control import SWITCHED_OFF, UNKEYED, current
from semcache_core.models import Hit
from semcache_core.streaming import StreamCall, astreamed, streamed

R = TypeVar("R", ChatResponse, CompletionResponse)


@dataclass(frozen=True, slots=True)
class Leaf(Generic[R]):
    """One of the two families of methods that end at the provider."""

    codec: ResponseCodec[R]
    names: tuple[str, str, str, str]
    """The methods: plain, asynchronous, streamed, both."""
    join: Callable[[Sequence[R]], R]
    replay: Callable[[Hit], Iterator[R]]


CHATTING = Leaf(
    CHAT,
    ("chat", "achat", "stream_chat", "astream_chat"),
    answers.joined_chat,
    answers.replayed_chat,
)
COMPLETING = Leaf(
    COMPLETION,
    ("complete", "acomplete", "stream_complete", "astream_complete"),
    answers.joined_completion,
    answers.replayed_completion,
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """How a leaf was called: the prompt and everything else, as the provider is to get it."""

    prompt: Any
    kwargs: Mapping[str, Any]


class Caching:
    """The original model, the cache, and the rules; what a twin keeps of them."""

    def __init__(self, original: LLM, cache: SemanticCache, rules: Rules) -> None:
        self.original = original
        self.cache = cache
        self.rules = rules
        self.token = uuid4().hex
        self._keys = Keys(original, cache, rules)
        self.objects = Objects(original, cache, self._keys, rules.ttl)

    def of(self, original: LLM) -> Caching:
        """The same for another model."""
        return Caching(original, self.cache, self.rules)

    # -- responses -------------------------------------------------------------------------------

    def ask(self, leaf: Leaf[R], how: Arguments) -> R:
        """A stored answer, or the model's."""
        keyed = self._keyed(leaf, how)
        if keyed is None:
            return self._asked(leaf.names[0], how)  # type: ignore[no-any-return]  # a model's method
        return self._served(self.cache.ask(lambda: keyed.prompt, self._call(leaf, keyed, how)))

    async def aask(self, leaf: Leaf[R], how: Arguments) -> R:
        """As `ask`, on the event loop."""
        keyed = await self._akeyed(leaf, how)
        if keyed is None:
            return await self._aasked(leaf.names[1], how)  # type: ignore[no-any-return]  # as above
        call = self._call(leaf, keyed, how)
        return self._served(await self.cache.aask(lambda: keyed.prompt, call))

    def stream(self, leaf: Leaf[R], how: Arguments) -> Generator[R, None, None]:
        """A stored answer in chunks, or the model's stream."""
        keyed = self._keyed(leaf, how)
        if keyed is None:
            return self._asked(leaf.names[2], how)  # type: ignore[no-any-return]  # as above
        call = self._stream_call(leaf, keyed, how)
        stream = streamed(self.cache, lambda: keyed.prompt, call)
        return cast(Generator[R, None, None], stream)

    async def astream(self, leaf: Leaf[R], how: Arguments) -> AsyncGenerator[R, None]:
        """As `stream`, on the event loop."""
        keyed = await self._akeyed(leaf, how)
        if keyed is None:
            return await self._aasked(leaf.names[3], how)  # type: ignore[no-any-return]  # as above
        call = self._stream_call(leaf, keyed, how)
        stream = await astreamed(self.cache, lambda: keyed.prompt, call)
        return cast(AsyncGenerator[R, None], stream)

    def _keyed(self, leaf: Leaf[R], how: Arguments) -> Keyed | None:
        make = self._keys.chat if leaf.codec is CHAT else self._keys.complete
        control = current()
        keyed = None
        if control.on:
            keyed = self.cache.attempt(lambda: make(leaf.codec.name, how.prompt, how.kwargs))
        if keyed is None:
            control.past(UNKEYED if control.on else SWITCHED_OFF)
        return keyed

    async def _akeyed(self, leaf: Leaf[R], how: Arguments) -> Keyed | None:
        """A reader that asks a model has no place on the event loop."""
        if self._keys.slow:
            return await asyncio.to_thread(self._keyed, leaf, how)
        return self._keyed(leaf, how)

    def _call(self, leaf: Leaf[R], keyed: Keyed, how: Arguments) -> Call[R]:
        return Call(
            leaf.codec,
            sync=lambda: self._asked(leaf.names[0], how),
            asynchronous=lambda: self._aasked(leaf.names[1], how),
            tokens=answers.tokens,
            keepable=_keepable(keyed),
            exact_only=_exact_only,
            ttl=self.rules.ttl,
        )

    def _stream_call(self, leaf: Leaf[R], keyed: Keyed, how: Arguments) -> StreamCall[R, R]:
        return StreamCall(
            leaf.codec,
            sync=lambda: self._source(leaf.names[2], how),
            asynchronous=lambda: self._asource(leaf.names[3], how),
            join=leaf.join,
            replay=lambda hit: _replayed(leaf, hit),
            tokens=answers.tokens,
            keepable=_keepable(keyed),
            exact_only=_exact_only,
            copy=answers.copied,
            ttl=self.rules.ttl,
        )

    def _served(self, asked: Asked[R]) -> R:
        if asked.hit is None:
            return asked.answer
        tell(asked.hit, answers.text_of(asked.answer))
        return answers.marked(asked.answer, asked.hit)

    # -- the model itself ------------------------------------------------------------------------

    def _asked(self, name: str, how: Arguments) -> Any:
        with self._keys.fingerprint.watched():
            return getattr(self.original, name)(how.prompt, **how.kwargs)

    async def _aasked(self, name: str, how: Arguments) -> Any:
        with self._keys.fingerprint.watched():
            return await getattr(self.original, name)(how.prompt, **how.kwargs)

    def _source(self, name: str, how: Arguments) -> Iterator[Any]:
        with self._keys.fingerprint.watched():
            yield from getattr(self.original, name)(how.prompt, **how.kwargs)

    async def _asource(self, name: str, how: Arguments) -> AsyncIterator[Any]:
        with self._keys.fingerprint.watched():
            source = await getattr(self.original, name)(how.prompt, **how.kwargs)
            try:
                async for chunk in source:
                    yield chunk
            finally:
                if (close := getattr(source, "aclose", None)) is not None:
                    await close()


def _keepable(keyed: Keyed) -> Callable[[Any], str]:
    def why_not(answer: Any) -> str:
        if not keyed.tool_calls and answers.calls_tools(answer):
            return "tool calls"
        return answers.unfit(answer)

    return why_not


def _exact_only(answer: Any) -> str:
    return "the answer calls tools" if answers.calls_tools(answer) else ""


def _replayed(leaf: Leaf[R], hit: Hit) -> Iterator[R]:
    tell(hit, answers.text_of(hit.answer))
    return leaf.replay(hit)
