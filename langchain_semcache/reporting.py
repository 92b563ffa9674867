"""Sending an answer back: what it was served for is asked anew."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase, coerce_to_runnable

from langchain_semcache.payload import ID, MARK
from langchain_semcache.traced import of_chain, tracing
from semcache_core.errors import ConfigError
from semcache_core.models import Reason

if TYPE_CHECKING:
    from semcache_core.cache import SemanticCache

log = logging.getLogger("semcache")


def fresh_mark(key: str) -> dict[str, Any]:
    """That of a fresh answer, which is stored under this key."""
    return {"hit": Reason.EXACT.value, "id": key, "prompt": key, "fresh": True}


def mark_of(response: Any) -> dict[str, Any] | None:
    """What an answer says of the entry that it is, or is stored as; None if it says nothing.

    Takes a message, a generation, a result, the output of structured output with `include_raw`,
    or an id.
    """
    if isinstance(response, str):
        return fresh_mark(response) | {"named": True}
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
    return fresh_mark(metadata[ID])


def rejecting(parser: Runnable[Any, Any] | Callable[[Any], Any], cache: SemanticCache) -> Any:
    """The parser, reporting to the cache every answer that it cannot parse.

    `(model | rejecting(parser, cache)).with_retry()` recovers from an answer that cannot be parsed:
    the retry is not served it again. The parser may stand later in the chain, and it may be a chain
    itself that ends in one: `rejecting(model.with_structured_output(...), cache)`. An error inside
    a result (`include_raw=True`) counts as well. Where no answer can be found, that is logged.

    Raises `ConfigError` for what is no parser.
    """
    try:
        bound = coerce_to_runnable(parser)
    except TypeError as error:
        raise ConfigError(f"parser: {parser!r} was given; give a parser or a function") from error
    return Rejecting(bound=bound, report=partial(_report, cache))


def _report(
    cache: SemanticCache, response: Any, inside: Sequence[Any] = (), config: Any = None
) -> None:
    """The answer that was given, else the last one from this cache: inside, or in the chain."""
    message = response.get("raw") if isinstance(response, Mapping) else response
    says = isinstance(message, BaseMessage)  # of itself where it came from, or that it came fresh
    mark = mark_of(message) if says else None
    if mark is None:
        mine = [one for asked, one in inside if asked is cache]
        mark = mine[-1] if mine else of_chain(cache, config)
    if mark is not None:
        cache.report_wrong(mark)
    elif not says:
        log.warning(
            "semcache: an answer could not be parsed, and rejecting() cannot tell which: put it "
            "into one chain with the model, and give it that model's cache"
        )


class Rejecting(RunnableBindingBase[Any, Any]):
    """A parser that reports what it cannot parse; `rejecting` makes it."""

    report: Callable[..., None]
    # Each by `invoke`, which reports; a binding hands the whole batch on.
    batch = Runnable.batch
    abatch = Runnable.abatch

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002  # LangChain's name
        with self._watched(input, config) as failed:
            found = super().invoke(input, config, **kwargs)
            failed(found)
            return found

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002  # as above
        with self._watched(input, config) as failed:
            found = await super().ainvoke(input, config, **kwargs)
            failed(found)
            return found

    @contextmanager
    def _watched(self, given: Any, config: Any) -> Iterator[Callable[[Any], None]]:
        """Report on an exception, and on a result that holds one."""

        def look(found: Any) -> None:
            if _failed(found):
                self.report(found, inside, config)

        with tracing() as inside:
            try:
                yield look
            except Exception:
                self.report(given, inside, config)
                raise

    def transform(
        self,
        input: Iterator[Any],  # noqa: A002  # as above
        config: Any = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        seen: list[Any] = []
        try:
            for item in super().transform(_noted(input, seen), config, **kwargs):
                yield item
                if _failed(item):
                    self._report_all(seen, config)
        except Exception:
            self._report_all(seen, config)
            raise

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002  # as above
        config: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        seen: list[Any] = []
        try:
            async for item in super().atransform(_anoted(input, seen), config, **kwargs):
                yield item
                if _failed(item):
                    self._report_all(seen, config)
        except Exception:
            self._report_all(seen, config)
            raise

    def _report_all(self, seen: list[Any], config: Any) -> None:
        if seen:
            self.report(reduce(add, seen), (), config)


def _failed(found: Any) -> bool:
    """Whether a result holds the parser's error."""
    return isinstance(found, Mapping) and found.get("parsing_error") is not None


def _noted(items: Iterator[Any], seen: list[Any]) -> Iterator[Any]:
    for item in items:
        seen.append(item)
        yield item


async def _anoted(items: AsyncIterator[Any], seen: list[Any]) -> AsyncIterator[Any]:
    async for item in items:
        seen.append(item)
        yield item
