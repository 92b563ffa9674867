"""Reading f-string templates backwards: from the text that was made to what went into it."""

from __future__ import annotations

import re
from string import Formatter

from semcache_core.errors import ConfigError


def variables_of(template: str) -> list[str]:
    """The names, in order of appearance; raises `ConfigError` for a malformed template."""
    return list(dict.fromkeys(field for _, field in _pieces(template) if field))


def pattern_of(template: str) -> re.Pattern[str]:
    """The template as an expression: each variable a group, a repeated one a back-reference."""
    parts, seen = [], set()
    for literal, field in _pieces(template):
        parts.append(re.escape(literal))
        if field:
            parts.append(f"(?P={field})" if field in seen else f"(?P<{field}>.*?)")
            seen.add(field)
    return re.compile("".join(parts), re.DOTALL)


def extracted(pattern: re.Pattern[str], text: str) -> dict[str, str] | None:
    """The variables' values; None for a text that does not follow the template."""
    match = pattern.fullmatch(text)
    return None if match is None else match.groupdict()


def _pieces(template: str) -> list[tuple[str, str | None]]:
    try:
        found = [(literal, field) for literal, field, _, _ in Formatter().parse(template)]
    except ValueError as error:
        raise ConfigError(f"template: {template!r} is no f-string template: {error}") from error
    for _, field in found:
        if field is not None and not field.isidentifier():
            raise ConfigError(f"template: the variable {field!r} has no plain name; give it one")
    return found
