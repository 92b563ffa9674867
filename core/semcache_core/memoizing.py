"""`@memoize(cache)`: any function from a question to a JSON answer, of any vendor's model."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter
from types import CodeType
from typing import Any, ParamSpec, TypeVar, cast

from semcache_core.asking import Call
from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.errors import ConfigError, UncacheableError
from semcache_core.keys import canonical, sha256
from semcache_core.models import Prompt

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("semcache")
_OWNERS = ("self", "cls")


def memoize(
    cache: SemanticCache,
    *,
    question: str | None = None,
    ignore: Collection[str] = (),
    exact: Callable[..., object] | None = None,
    ttl: float | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Answer rephrased calls from the cache; sync and async functions and methods alike.

    The argument named `question` (by default the first one after `self`) may be paraphrased; all
    others, and the function's name, must match exactly. `ignore` names arguments that do not change
    the answer (`"self"`, a client, a logger). Or `exact` is called with the arguments of the call
    and returns what must match instead of them: `exact=lambda self, text: self.model`. An argument
    without a stable form, as an object of a class of yours, makes a call that is not cached, which
    is logged once: name it in one of the two.

    The function returns a JSON value; what is not one is handed through and not stored. `ttl` is in
    seconds. Raises `ConfigError` when the function has no such argument, or is none that returns.
    """
    if isinstance(ignore, str) or (ignore and exact is not None):
        raise ConfigError(
            f"memoize: ignore={ignore!r} was given; give a set of names, or exact= instead"
        )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        keys = _Keys.of(cache, function, question, frozenset(ignore), exact)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def answer_later(*args: P.args, **kwargs: P.kwargs) -> Any:
                asked: Callable[[], Any] = partial(function, *args, **kwargs)
                if (prompt := keys.prompt(args, kwargs)) is None:
                    return await asked()
                call: Call[Any] = Call(JSON, _unreachable, asked, ttl=ttl)
                return (await cache.aask(lambda: prompt, call)).answer

            return cast("Callable[P, R]", answer_later)

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            asked = partial(function, *args, **kwargs)
            if (prompt := keys.prompt(args, kwargs)) is None:
                return asked()
            call: Call[Any] = Call(JSON, asked, _unreachable, ttl=ttl)
            return cast("R", cache.ask(lambda: prompt, call).answer)

        return answer

    return decorate


@dataclass(slots=True)
class _Keys:
    """From a function's arguments to a prompt."""

    cache: SemanticCache
    signature: inspect.Signature
    question: str
    ignore: Collection[str]
    exact: Callable[..., object] | None
    name: str
    identity: list[Any]
    owner: dict[str, Any] = field(default_factory=dict)
    """The object that a method was taken from before it was memoised."""
    warned: bool = False

    @classmethod
    def of(
        cls,
        cache: SemanticCache,
        function: Callable[..., Any],
        question: str | None,
        ignore: Collection[str],
        exact: Callable[..., object] | None,
    ) -> _Keys:
        """Raises `ConfigError` for what cannot be memoised."""
        _check(function)
        signature = inspect.signature(function)
        owner = {"self": function.__self__} if inspect.ismethod(function) else {}
        unknown = sorted(set(ignore) - set(signature.parameters) - set(owner))
        if unknown:
            raise ConfigError(
                f"memoize: {function.__qualname__} has no argument {unknown[0]!r} to ignore; it "
                f"has {[*owner, *signature.parameters]}"
            )
        asked = _question_of(function, signature, question)
        name, identity = f"{function.__module__}.{function.__qualname__}", _identity(function)
        return cls(cache, signature, asked, ignore, exact, name, identity, owner)

    def prompt(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Prompt | None:
        """None: this call is not cached, which is counted, and logged once."""
        return self.cache.attempt(lambda: self._made(args, kwargs), quiet=self.warned)

    def _made(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Prompt:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {**self.owner, **bound.arguments}
        asked = given.pop(self.question)
        if not isinstance(asked, str):
            raise self._refused(f"its question {self.question}={asked!r} is not a text")
        others: object = {name: given[name] for name in given if name not in self.ignore}
        if self.exact is not None:
            others = self.exact(*args, **kwargs)
        try:
            exact = [self.identity, _class_of(given), others]
            model = self.name.rpartition(".")[2]
            return self.cache.prompt(JSON.name, exact, asked, model=model)
        except UncacheableError:
            self._blame(others)
            raise

    def _blame(self, others: object) -> None:
        """Raises `UncacheableError`, naming the argument and what to do, if it is an argument."""
        named = cast("dict[str, Any]", others) if self.exact is None else {"exact": others}
        for name, value in named.items():
            try:
                canonical(value)
            except UncacheableError as error:
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                raise self._refused(
                    f"{name} (a {kind}) has no stable form to compare calls by. Leave it out "
                    f"with memoize(cache, ignore=[{name!r}]) if it does not change the answer, "
                    "or say what of it does: exact=lambda ...: [...]"
                ) from error

    def _refused(self, why: str) -> UncacheableError:
        self.warned, again = True, "" if self.warned else " This is said once."
        return UncacheableError(f"{self.name} is asked as ever: {why}.{again}")


def _check(function: Any) -> None:
    if isinstance(function, staticmethod | classmethod):
        raise ConfigError("memoize: put @memoize below @staticmethod or @classmethod, not above it")
    if not (callable(function) and hasattr(function, "__qualname__")):
        raise ConfigError(
            f"memoize: {function!r} is no function with a name to know it by; wrap it in a `def`"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"memoize: {function.__qualname__} is a generator; return the answer")


def _question_of(
    function: Callable[..., Any], signature: inspect.Signature, named: str | None
) -> str:
    several = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    names = [name for name, one in signature.parameters.items() if one.kind not in several]
    first = [name for name in names[:2] if name not in _OWNERS or name != names[0]]
    if named is None and first:
        return first[0]
    if named not in names:
        raise ConfigError(
            f"memoize: {function.__qualname__} has the arguments {names}, and the question is to "
            f"be {named!r}; name one of them: memoize(cache, question=...)"
        )
    return named


def _class_of(given: Mapping[str, Any]) -> str:
    """Of a method's object, which an inherited method shares with others, even if it is ignored."""
    owner = next((given[name] for name in _OWNERS if name in given), None)
    kind = owner if isinstance(owner, type) else type(owner)
    return f"{kind.__module__}.{kind.__qualname__}"


def _identity(function: Callable[..., Any]) -> list[Any]:
    """The name; of functions made inside others, which may share theirs, what tells them apart.

    Of a closure the plain values, as they are when it is memoised: what else it holds may change
    from call to call (a list, a client), and would make each call another.
    """
    name = [f"{function.__module__}.{function.__qualname__}"]
    code = getattr(function, "__code__", None)
    if code is None or "<" not in function.__qualname__:
        return name
    written = [_code(code)] if "<lambda>" in function.__qualname__ else []
    cells = inspect.getclosurevars(function).nonlocals
    plain = {n: v for n, v in cells.items() if v is None or isinstance(v, str | int | float)}
    return [*name, *written, plain]


def _code(code: CodeType) -> str:
    """Two lambdas of one module share a name; a code object within shows its address."""
    inner = [_code(one) for one in code.co_consts if isinstance(one, CodeType)]
    plain = [repr(one) for one in code.co_consts if not isinstance(one, CodeType)]
    return sha256(canonical([code.co_code, plain, code.co_names, inner]))


def _unreachable() -> Any:
    raise AssertionError("a sync function is never awaited, nor an async one called")
