"""Which turns of a conversation are cached, and how: the table that both adapters follow."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from semcache_core.errors import ConfigError

Mode = Literal["semantic", "exact", "off"]
_MODES = ("semantic", "exact", "off")


@dataclass(frozen=True, slots=True)
class Turns:
    """How each kind of turn is cached; raises `ConfigError` for anything but the three modes.

    Replaying a tool call only proposes it again: whether the tool runs is the framework's
    business. Calls are off by default since a price or a balance asked for again is meant anew.
    """

    question: Mode = "semantic"
    """The answer is text and no tools are offered."""
    tools_offered: Mode = "semantic"
    """Tools are offered (they are in the scope) and the answer is text."""
    tool_calls: Mode = "off"
    """The answer is tool calls that the model chose to make."""
    forced_tool: Mode = "exact"
    """The answer is a call of the one tool that the request demands: structured output."""
    after_tools: Mode = "exact"
    """The turn holds tool results, which are in the scope."""
    react: Mode = "exact"
    """Steps of an agent that writes its tool calls as text."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value not in _MODES:
                raise ConfigError(f"turns.{field.name}: {value!r} was given; give one of {_MODES}")
        for name in ("tool_calls", "forced_tool"):
            if getattr(self, name) == "semantic":
                raise ConfigError(
                    f"turns.{name}: 'semantic' was given, but a call's arguments answer the exact "
                    "wording; give 'exact' or 'off'"
                )
