"""Naming the question inside a longer prompt: a callable, or the template it was made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate, PromptTemplate

from langchain_semcache.prompts import Question, QuestionHook
from semcache_core.errors import ConfigError
from semcache_core.prompts.parts import NAMES
from semcache_core.prompts.shape import Shape
from semcache_core.prompts.templates import extracted, pattern_of, variables_of

Hook = (
    Callable[[str], str | None]
    | BasePromptTemplate[Any]
    | tuple[BasePromptTemplate[Any], str]
    | Shape
)


def question_hook(hook: Hook | None) -> QuestionHook | Shape | None:
    """What a prompt is read with; raises `ConfigError` for what cannot name a question."""
    if hook is None or isinstance(hook, Shape):
        return hook
    template, name = hook if isinstance(hook, tuple) else (hook, None)
    if isinstance(template, BasePromptTemplate):
        return _from_template(_text_template(template), name)
    if callable(hook):
        return hook
    raise ConfigError(
        f"question: {hook!r} was given; give a callable text -> str | None, a prompt template, "
        "a pair of a template and its question's variable, or a reader of semcache_core.prompts"
    )


def _text_template(template: BasePromptTemplate[Any]) -> PromptTemplate:
    """The template of the text that holds the question: of a chat, the last human message's."""
    if isinstance(template, ChatPromptTemplate):
        prompts = [getattr(message, "prompt", None) for message in template.messages]
        texts = [prompt for prompt in prompts if isinstance(prompt, PromptTemplate)]
        template = texts[-1] if texts else template
    if not isinstance(template, PromptTemplate) or template.template_format != "f-string":
        raise ConfigError(
            f"question: a {type(template).__name__} cannot be read backwards; give a template in "
            "f-string format, or a callable text -> str | None"
        )
    return template


def _from_template(template: PromptTemplate, name: str | None) -> QuestionHook:
    fields = variables_of(template.template)
    named = [one for one in ([name] if name else NAMES) if one in fields]
    if not named:
        raise ConfigError(
            f"question: the template has the variables {sorted(fields)}, and none is "
            f"{name or ' or '.join(NAMES)}; name the question's: question=(template, 'variable')"
        )
    pattern = pattern_of(template.template)
    return lambda text: _extracted(pattern, named[0], text)


def _extracted(pattern: re.Pattern[str], name: str, text: str) -> Question:
    """The question's variable apart; the template and its other variables must match exactly."""
    values = extracted(pattern, text)
    if values is None:
        return Question(None, text, "the prompt does not follow the question's template")
    question = values.pop(name)
    return Question(question.strip() or None, [pattern.pattern, values])
