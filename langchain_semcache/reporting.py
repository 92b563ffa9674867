"""Sending an answer back: what it was served for is asked anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase, coerce_to_runnable

from langchain_semcache.payload import ID, MARK
from semcache_core.errors import ConfigError
from semcache_core.models import Reason

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache


def mark_of(response: Any) -> dict[str, Any] | None:
    """What an answer says of the entry that it is, or is stored as; None if it says nothing.

    Takes a message, a generation, a result, the output of structured output with `include_raw`,
    or an id.
    """
    if isinstance(response, str):
        return {"hit": Reason.EXACT.value, "id": response, "prompt": response, "fresh": True}
    if isinstance(response, ChatResult):
        response = response.generations[0]
    if isinstance(response, LLMResult):
        response = response.generations[0][0]
    if isinstance(response, ChatGeneration):
        response = response.message
    if isinstance(response, Generation):
        return (response.generation_info or {}).get(MARK)
    if isinstance(response, Mapping) and isinstance(response.get("raw"), BaseMessage):
        response = response["raw"]
    metadata = response.response_metadata if isinstance(response, BaseMessage) else {}
    if MARK in metadata or ID not in metadata:
        return metadata.get(MARK)
    return mark_of(metadata[ID])


def rejecting(parser: Runnable[Any, Any] | Callable[[Any], Any], cache: SemanticCache) -> Any:
    """The parser, reporting to the cache every answer that it cannot parse.

    `(model | rejecting(parser, cache)).with_retry()` recovers from an answer that cannot be parsed:
    the retry is not served it again. Raises `ConfigError` for what is no parser.
    """
    try:
        bound = coerce_to_runnable(parser)
    except TypeError as error:
        raise ConfigError(f"parser: {parser!r} was given; give a parser or a function") from error
    return Rejecting(bound=bound, report=lambda response: _report(cache, response))


def _report(cache: SemanticCache, response: Any) -> None:
    mark = mark_of(response) if isinstance(response, BaseMessage) else None
    if mark is not None:
        cache.report_wrong(mark)


class Rejecting(RunnableBindingBase[Any, Any]):
    """A parser that reports what it cannot parse; `rejecting` makes it."""

    report: Callable[[Any], None]

    def invoke(self, input: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # LangChain's name
        try:
            return super().invoke(input, *args, **kwargs)
        except Exception:
            self.report(input)
            raise

    async def ainvoke(self, input: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  # as above
        try:
            return await super().ainvoke(input, *args, **kwargs)
        except Exception:
            self.report(input)
            raise

    def transform(self, input: Iterator[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: A002  # as above
        seen: list[Any] = []
        try:
            yield from super().transform(_noted(input, seen), *args, **kwargs)
        except Exception:
            self._report_all(seen)
            raise

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002  # as above
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        seen: list[Any] = []
        try:
            async for item in super().atransform(_anoted(input, seen), *args, **kwargs):
                yield item
        except Exception:
            self._report_all(seen)
            raise

    def _report_all(self, seen: list[Any]) -> None:
        if seen:
            self.report(reduce(add, seen))


def _noted(items: Iterator[Any], seen: list[Any]) -> Iterator[Any]:
    for item in items:
        seen.append(item)
        yield item


async def _anoted(items: AsyncIterator[Any], seen: list[Any]) -> AsyncIterator[Any]:
    async for item in items:
        seen.append(item)
        yield item
