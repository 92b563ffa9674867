"""Whose words are the question: the last message's, the last turns', everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semcache_core.errors import ConfigError
from semcache_core.prompts.draft import (
    Draft,
    Dropped,
    Said,
    asked,
    check_dropped,
    ignoring,
    last_user,
    taken,
)
from semcache_core.prompts.shape import Shape

SPOKEN = ("user", "assistant")
"""The roles whose texts may become part of a question."""


@dataclass(frozen=True, slots=True)
class LastMessage(Shape):
    """The whole text of the last user message, paragraphs and all; everything else is exact."""

    def __call__(self, draft: Draft) -> Draft:
        return asked(draft)


@dataclass(frozen=True, slots=True)
class LastTurns(Shape):
    """The last `n` turns, a turn being a user message and the answers up to the next one.

    `skip` leaves a role's messages out ("assistant"). What is skipped, and what is earlier, must
    match exactly, or with `dropped="ignore"` not at all; system prompts, tool messages, images and
    tool calls must match in any case. Raises `ConfigError`.
    """

    n: int = 2
    skip: tuple[str, ...] = ()
    dropped: Dropped = "exact"

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise ConfigError(
                f"LastTurns: n={self.n!r} was given; give a number of turns, 1 or more"
            )
        _check_roles("LastTurns: skip", self.skip)
        if "user" in self.skip:
            raise ConfigError("LastTurns: skip='user' leaves no question; skip 'assistant' or none")
        check_dropped("LastTurns", self.dropped)

    def __call__(self, draft: Draft) -> Draft:
        starts = [n for n, one in enumerate(draft.said) if one.role == "user"]
        if not starts:
            return draft.failed("no user message")
        first, last = starts[-self.n :][0], starts[-1]
        spoken = [n for n in _spoken(draft.said, SPOKEN) if n <= last]
        places = [n for n in spoken if n >= first and draft.said[n].role not in self.skip]
        others = set(spoken) - set(places) if self.dropped == "ignore" else set()
        return ignoring(taken(draft, places), others)


@dataclass(frozen=True, slots=True)
class AllContent(Shape):
    """The words of everybody in `roles`, from the first to the last; who said what is exact.

    System prompts are compared by meaning only if they are named. Raises `ConfigError`.
    """

    roles: tuple[str, ...] = SPOKEN

    def __post_init__(self) -> None:
        _check_roles("AllContent: roles", self.roles)
        if not self.roles:
            raise ConfigError("AllContent: roles is empty; give at least one, as 'user'")

    def __call__(self, draft: Draft) -> Draft:
        places = _spoken(draft.said, self.roles)
        if not places or last_user(draft.said) is None:
            return draft.failed("no user message")
        return taken(draft, places)


def _spoken(said: Sequence[Said], roles: Sequence[str]) -> list[int]:
    return [n for n, one in enumerate(said) if one.role in roles and one.text]


def _check_roles(name: str, roles: object) -> None:
    if isinstance(roles, str) or not isinstance(roles, tuple):
        raise ConfigError(f"{name}: {roles!r} was given; give a tuple of roles, as ('assistant',)")
    unknown = set(roles) - {*SPOKEN, "system"}
    if unknown:
        raise ConfigError(
            f"{name}: {min(unknown)!r} is no role whose words can be compared by meaning; "
            "give some of 'user', 'assistant', 'system'"
        )
