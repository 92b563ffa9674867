"""`@memoize(cache)`: any function from a question to a JSON answer, of any vendor's model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from semcache_core.asking import Call
from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.errors import ConfigError, PayloadError
from semcache_core.models import Prompt

P = ParamSpec("P")
R = TypeVar("R")


def memoize(
    cache: SemanticCache, *, question: str | None = None, ttl: float | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Answer rephrased calls from the cache; sync and async functions alike.

    The argument named `question` (by default the first one) may be paraphrased; all others, and the
    function's name, must match exactly. The function returns a JSON value; what is not one is
    handed through and not stored. `ttl` is in seconds. Raises `ConfigError` when the function has
    no such argument, or is a generator.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        name = _question_of(function, signature, question)

        def prompt(*args: P.args, **kwargs: P.kwargs) -> Prompt:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            exact = dict(bound.arguments)
            asked = exact.pop(name)
            if not isinstance(asked, str):
                raise PayloadError(f"{name}: {asked!r} is not a text to compare by meaning")
            label = f"{function.__module__}.{function.__qualname__}"
            return cache.prompt(JSON.name, [label, exact], asked, model=function.__name__)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def answer_later(*args: P.args, **kwargs: P.kwargs) -> Any:
                asked: Callable[[], Any] = partial(function, *args, **kwargs)
                call: Call[Any] = Call(JSON, _unreachable, asked, ttl=ttl)
                return (await cache.aask(partial(prompt, *args, **kwargs), call)).answer

            return cast("Callable[P, R]", answer_later)

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            call: Call[Any] = Call(JSON, partial(function, *args, **kwargs), _unreachable, ttl=ttl)
            return cast("R", cache.ask(partial(prompt, *args, **kwargs), call).answer)

        return answer

    return decorate


def _question_of(
    function: Callable[..., Any], signature: inspect.Signature, named: str | None
) -> str:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"memoize: {function.__qualname__} is a generator; return the answer")
    names = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if named is None and names:
        return names[0]
    if named not in names:
        raise ConfigError(
            f"memoize: {function.__qualname__} has the arguments {names}, and the question is to "
            f"be {named!r}; name one of them: memoize(cache, question=...)"
        )
    return named


def _unreachable() -> Any:
    raise AssertionError("a sync function is never awaited, nor an async one called")
