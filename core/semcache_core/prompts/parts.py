"""A part of a text as its question: without given texts, or by a template."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.prompts.draft import Draft, asked
from semcache_core.prompts.shape import Shape
from semcache_core.prompts.templates import extracted, pattern_of, variables_of
from semcache_core.questions import joined, parts

NAMES = ("question", "query", "query_str", "input")
"""What templates usually call the question."""


@dataclass(frozen=True, slots=True, init=False)
class Without(Shape):
    """The question without given texts, such as instructions that stand around every question.

    The texts that were there, and where among the rest, must match exactly. Raises `ConfigError`.
    """

    texts: tuple[str, ...]

    def __init__(self, *texts: str) -> None:
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ConfigError(f"Without: {texts!r} was given; give one text or more, none empty")
        object.__setattr__(self, "texts", texts)

    def __call__(self, draft: Draft) -> Draft:
        draft = asked(draft)
        if draft.question is None:
            return draft
        cut = [self._cut(text) for text in parts(draft.question)]
        # What stood before a text that was cut out, and what after it, are kept apart.
        question = joined([kept for left, _ in cut for kept in left])
        return replace(draft, question=question, beside=(*draft.beside, [at for _, at in cut]))

    def _cut(self, text: str) -> tuple[list[str], list[str | None]]:
        """What is left of a text, and what was cut out, with None for what was left between."""
        # The longest first: a text may be the beginning of another.
        longest = sorted(self.texts, key=len, reverse=True)
        found = re.split(f"({'|'.join(map(re.escape, longest))})", text)
        kept = [part.strip() for part in found[::2] if part.strip()]
        places = [part if n % 2 else None for n, part in enumerate(found) if part.strip()]
        return kept, places


@dataclass(frozen=True, slots=True, init=False)
class WithoutTemplate(Shape):
    """What a template was filled with: the named variables may be paraphrased.

    `template` is a text in f-string format, or an object that has one as `template` (a
    PromptTemplate of either framework). Without `names` it is the one variable, or the one called
    question, query, query_str or input. The template and its other variables must match exactly;
    a text that does not follow it can only be matched exactly. Raises `ConfigError`.
    """

    template: str
    names: tuple[str, ...]
    _pattern: re.Pattern[str] = field(repr=False, compare=False)

    def __init__(self, template: Any, *names: str) -> None:
        text = getattr(template, "template", template)
        if not isinstance(text, str):
            raise ConfigError(
                f"WithoutTemplate: {template!r} was given; give a text with {{variables}}"
            )
        object.__setattr__(self, "template", text)
        object.__setattr__(self, "names", names or _likely(variables_of(text)))
        unknown = set(self.names) - set(variables_of(text))
        if unknown:
            raise ConfigError(
                f"WithoutTemplate: {min(unknown)!r} is no variable of the template; it has "
                f"{variables_of(text)}"
            )
        object.__setattr__(self, "_pattern", pattern_of(text))

    def __call__(self, draft: Draft) -> Draft:
        draft = asked(draft)
        if draft.question is None:
            return draft
        values = extracted(self._pattern, draft.question)
        if values is None:
            return draft.failed("the prompt does not follow the question's template")
        question = joined([values.pop(name) for name in self.names])
        return replace(draft, question=question, beside=(*draft.beside, values))


def _likely(names: list[str]) -> tuple[str, ...]:
    found = names if len(names) == 1 else [name for name in NAMES if name in names][:1]
    if not found:
        raise ConfigError(
            f"WithoutTemplate: the template has the variables {names}, and none is "
            f"{' or '.join(NAMES)}; name the question's: WithoutTemplate(template, 'variable')"
        )
    return tuple(found)
