"""The template behind a formatted prompt, caught on its way from `predict` to the model.

By the time a prompt reaches the model it is one long text in which the question is drowned: two
RAG prompts with the same context and unrelated questions have a cosine of 1.0 in MiniLM's window.
The scope keeps the template and its variables, so that the question can be told from the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import BasePromptTemplate, SelectorPromptTemplate

from semcache_core.control import Control, current, using

T = TypeVar("T")
Context = Literal["exact", "set", "ignore"]

QUESTIONS = ("query_str", "question")
"""What LlamaIndex's own templates call the question."""
CONTEXTS = ("context_str", "context_msg", "context_list", "context")
"""What they call the retrieved text."""

_QUESTION_MARK = "\x02question\x03"
_CONTEXT_MARK = "\x02context\x03"


@dataclass(frozen=True, slots=True)
class PromptScope:
    """A template and the variables it is about to be filled with."""

    template: BasePromptTemplate
    args: Mapping[str, Any]
    structured: bool = False
    """The call wants an object of a class and not a text."""

    @property
    def prompt_type(self) -> str | None:
        """What the template is for ("text_qa", "refine"): a selector's own, not its choice's."""
        kind = self.template.metadata.get("prompt_type")
        return None if kind is None else str(getattr(kind, "value", kind))


@dataclass(frozen=True, slots=True)
class Masked:
    """A formatted prompt taken apart."""

    question: str
    exact: Any
    """The prompt without the question, and under context="set" or "ignore" without the order of
    the context, or without the context."""


_scope: ContextVar[PromptScope | None] = ContextVar("semcache_llamaindex_scope", default=None)


def running_scope() -> PromptScope | None:
    """The template that the running call was made from, if it was made from one."""
    return _scope.get()


def from_template() -> bool:
    """Whether the running call's text is a template that was filled in: no question of its own."""
    scope = _scope.get()
    return scope is not None and bool(scope.template.template_vars)


@contextmanager
def entered(scope: PromptScope) -> Iterator[None]:
    """Inside, prompts are read by this template."""
    outer = _scope.get()
    if outer is not None and not scope.template.template_vars:
        # A StructuredLLM hands on formatted messages as a template without variables.
        scope = PromptScope(outer.template, outer.args, outer.structured or scope.structured)
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


@dataclass(frozen=True, slots=True)
class Lasting:
    """A scope and a setting for generators, whose code runs when they are consumed."""

    scope: PromptScope
    control: Control

    @classmethod
    def of(cls, scope: PromptScope) -> Lasting:
        return cls(scope, current())

    @contextmanager
    def again(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(using(self.control))
            stack.enter_context(entered(self.scope))
            yield

    def over(self, source: Iterator[T]) -> Iterator[T]:
        """The same items, each fetched in the scope of the call."""
        done = object()
        try:
            while True:
                with self.again():
                    item: Any = next(source, done)
                if item is done:
                    return
                yield item
        finally:
            if (close := getattr(source, "close", None)) is not None:
                close()

    async def aover(self, source: AsyncIterator[T]) -> AsyncIterator[T]:
        """As `over`, on the event loop."""
        done = object()
        try:
            while True:
                with self.again():
                    item: Any = await anext(source, done)
                if item is done:
                    return
                yield item
        finally:
            if (close := getattr(source, "aclose", None)) is not None:
                await close()


def masked_messages(
    llm: LLM,
    messages: Sequence[ChatMessage],
    names: Sequence[str],
    context: Context,
    plain: Callable[[Sequence[ChatMessage]], list[Any]],
) -> Masked | None:
    """The question in chat messages, if they are what the running scope's template makes of it."""

    def fill(template: BasePromptTemplate, args: Mapping[str, Any]) -> list[Any]:
        return plain(llm._get_messages(template, **args))

    def fill_bare(template: BasePromptTemplate, args: Mapping[str, Any]) -> list[Any]:
        # Structured calls leave the LLM's output parser out, and some its system prompt.
        return plain(template.format_messages(llm=llm, **args))

    return _masked(llm, plain(messages), names, context, (fill, fill_bare))


def masked_text(llm: LLM, prompt: str, names: Sequence[str], context: Context) -> Masked | None:
    """As `masked_messages`, for a completion's text."""

    def fill(template: BasePromptTemplate, args: Mapping[str, Any]) -> list[Any]:
        return [llm._get_prompt(template, **args)]

    def fill_bare(template: BasePromptTemplate, args: Mapping[str, Any]) -> list[Any]:
        return [template.format(llm=llm, **args)]

    return _masked(llm, [prompt], names, context, (fill, fill_bare))


Fill = Callable[[BasePromptTemplate, Mapping[str, Any]], list[Any]]


def _masked(
    llm: LLM, sent: list[Any], names: Sequence[str], context: Context, fills: Sequence[Fill]
) -> Masked | None:
    scope = _scope.get()
    if scope is None:
        return None
    template = _selected(scope.template, llm)
    args = {**template.kwargs, **scope.args}
    name = next((one for one in names if isinstance(args.get(one), str) and args[one]), None)
    if name is None or template.function_mappings:
        return None  # a function mapping may make anything of the question
    for fill in fills:
        filled = fill(template, args)
        before = len(sent) - len(filled)
        if before >= 0 and sent[before:] == filled:
            masks, apart = _masks(args, name, context)
            masked = fill(template, {**args, **masks})
            if masked == filled:
                return None  # the template does not show the question
            # What stands in front is the LLM's own system prompt.
            return Masked(args[name], [sent[:before], masked, apart])
    return None


def _masks(
    args: Mapping[str, Any], name: str, context: Context
) -> tuple[dict[str, str], list[Any]]:
    """What stands in for the variables that need not match as they are, and what of them must."""
    masks = {name: _QUESTION_MARK}
    if context == "exact":
        return masks, []
    found = [one for one in CONTEXTS if one in args and one != name]
    apart = [_passages(args[one]) for one in found] if context == "set" else []
    return masks | dict.fromkeys(found, _CONTEXT_MARK), apart


def _selected(template: BasePromptTemplate, llm: LLM) -> BasePromptTemplate:
    while isinstance(template, SelectorPromptTemplate):
        template = template.select(llm)
    return template


def _passages(context: Any) -> list[str]:
    """Retrieved passages in an order of their own; synthesizers join them by blank lines."""
    parts = context if isinstance(context, list | tuple) else str(context).split("\n\n")
    return sorted(str(part).strip() for part in parts)
