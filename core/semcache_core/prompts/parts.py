"""A part of a text as its question: without a given prompt, by a template, by a function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.prompts.draft import Draft, Dropped, Shape, asked, check_dropped
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


@dataclass(frozen=True, slots=True)
class Narrowed(Shape):
    """The question as a function makes it of the text; None: it holds no question.

    Where the result is a part of the text, what stands around it must match exactly; where the
    text was rewritten, all of it must, unless it is ignored. The function has to answer alike each
    time. Raises `ConfigError`.
    """

    function: Callable[[str], str | None] = field(repr=False)
    dropped: Dropped = "exact"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(f"question: {self.function!r} was given; give a callable text -> str")
        check_dropped("Narrowed", self.dropped)

    def __call__(self, draft: Draft) -> Draft:
        draft = asked(draft)
        if draft.question is None:
            return draft
        found = self.function(draft.question)
        if not found:
            return draft.failed("the prompt holds more than a question; see question=")
        return narrowed(draft, found, self.dropped)


def narrowed(draft: Draft, found: str, dropped: Dropped) -> Draft:
    """The draft with a smaller, or another, question; the text it had is not forgotten."""
    if dropped == "ignore":
        return replace(draft, question=found)
    before, there, after = (draft.question or "").rpartition(found)
    around = [before, after] if there else [draft.question]
    return replace(draft, question=found, beside=(*draft.beside, around))
