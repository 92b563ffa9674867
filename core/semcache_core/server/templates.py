"""Templates that callers fill in: which part of their text is the question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from semcache_core.errors import ConfigError
from semcache_core.prompts.parts import NAMES
from semcache_core.prompts.templates import extracted, pattern_of, variables_of


@dataclass(frozen=True, slots=True)
class Template:
    """A text with variables, of which one is the question: question, query, query_str or input.

    The others, such as the passages to answer from, must match exactly. Raises `ConfigError`.
    """

    text: str
    name: str = field(init=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ConfigError(f"templates: {self.text!r} was given; give texts with {{variables}}")
        variables = variables_of(self.text)
        named = [name for name in NAMES if name in variables]
        if not named:
            raise ConfigError(
                f"templates: {self.text[:60]!r} has the variables {variables}, and none is called "
                f"{', '.join(NAMES)}"
            )
        object.__setattr__(self, "name", named[0])
        object.__setattr__(self, "_pattern", pattern_of(self.text))

    def read(self, text: str) -> tuple[str, list[object]] | None:
        """The question, and what has to match exactly; None for a text of another form."""
        values = extracted(self._pattern, text)
        if values is None:
            return None
        question = values.pop(self.name).strip()
        return (question, [self.text, values]) if question else None


def question_in(text: str, templates: Sequence[Template]) -> tuple[str, list[object]] | None:
    """The question in a text, by the first template it follows; else all of one paragraph."""
    for template in templates:
        if (found := template.read(text)) is not None:
            return found
    plain = text.strip()
    # Line breaks: likely a template with its context filled in.
    return (plain, []) if plain and "\n" not in plain else None
