"""Questions that a model makes: a conversation condensed into one, a long text summarised."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.lru import LRU
from semcache_core.prompts.draft import (
    Draft,
    Dropped,
    Said,
    asked,
    check_dropped,
    ignoring,
    last_user,
    narrowed,
)
from semcache_core.prompts.selected import check_budget
from semcache_core.prompts.shape import Shape
from semcache_core.prompts.turns import SPOKEN
from semcache_core.questions import MAX_PIECES, pieces

log = logging.getLogger("semcache")

Ask = Callable[[str], "str | Awaitable[str]"]
"""A model, as a function from a prompt to its reply."""

CONDENSE = """\
Rewrite the last question of this conversation so that it can be understood without the rest. Keep \
every name, number and condition it depends on. Reply with the question only.

{history}

Last question: {question}"""

SUMMARISE = """\
Say in one or two sentences what the following asks for. Keep every name, number and condition \
that the answer depends on. Reply with these sentences only.

{text}"""


@dataclass(frozen=True, slots=True)
class _Model:
    """A user's model with a memory of recent prompts: a lookup and its update ask once."""

    ask: Ask
    known: LRU[str, str] = field(default_factory=lambda: LRU(1024))

    def __call__(self, prompt: str) -> str | None:
        """None, and a line in the log, where it fails or says nothing."""
        if (known := self.known.get(prompt)) is not None:
            return known
        try:
            reply = self.ask(prompt)
            if inspect.isawaitable(reply):
                reply = _now(reply)
        except Exception as error:  # noqa: BLE001  # a user's model; the call it reads for must go on
            log.warning("semcache: the model that reads a prompt failed: %r", error)
            return None
        if not isinstance(reply, str) or not reply.strip():
            log.warning("semcache: the model that reads a prompt replied %r", reply)
            return None
        self.known.put(prompt, reply.strip())
        return reply.strip()


def _now(reply: Awaitable[str]) -> str:
    """What it comes to, on a loop of its own: in another thread where this one has a loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, _awaited(reply)).result()


async def _awaited(reply: Awaitable[str]) -> str:
    return await reply


@dataclass(frozen=True, slots=True)
class Condensed(Shape):
    """A follow-up question with its conversation condensed into it, by a model.

    `ask` is a function from a prompt to a reply (`lambda p: model.invoke(p).text`), sync or async;
    `prompt` has the fields {history} and {question}. The condensed question is compared instead of
    the last one; the earlier turns must still match exactly, or with `dropped="ignore"` it stands
    for them, too. A first question is left as it is. Where the model fails, only an exact repeat
    can hit. Raises `ConfigError`.
    """

    ask: Ask = field(repr=False)
    dropped: Dropped = "exact"
    prompt: str = CONDENSE
    _model: _Model = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_dropped("Condensed", self.dropped)
        object.__setattr__(self, "_model", _made("Condensed", self, ("{history}", "{question}")))

    @property
    def slow(self) -> bool:
        return True

    def __call__(self, draft: Draft) -> Draft:
        last = last_user(draft.said)
        before = _spoken(draft.said[:last]) if last is not None else []
        draft = asked(draft)
        if draft.question is None or not before:
            return draft
        history = "\n".join(f"{draft.said[n].role}: {draft.said[n].text}" for n in before)
        condensed = self._model(_filled(self.prompt, history=history, question=draft.question))
        if condensed is None:
            return draft.failed("the model that condenses the conversation failed")
        if self.dropped == "ignore":
            draft = ignoring(draft, before)
        return replace(draft, question=condensed)


@dataclass(frozen=True, slots=True)
class Summarised(Shape):
    """Of a question longer than `budget` word pieces, a model's summary in its place.

    `ask` and `prompt` (with the field {text}) are as for `Condensed`. `dropped` has to be given:
    "ignore" lets the summary stand for the text; with "exact" only the same text can hit, which
    needs no summary but keeps the rule while you look at the summaries. Raises `ConfigError`.
    """

    ask: Ask = field(repr=False)
    dropped: Dropped
    budget: int = MAX_PIECES
    prompt: str = SUMMARISE
    _model: _Model = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_dropped("Summarised", self.dropped)
        check_budget("Summarised", self.budget)
        object.__setattr__(self, "_model", _made("Summarised", self, ("{text}",)))

    @property
    def slow(self) -> bool:
        return True

    def __call__(self, draft: Draft) -> Draft:
        draft = asked(draft)
        if draft.question is None or pieces(draft.question) <= self.budget:
            return draft
        summary = self._model(_filled(self.prompt, text=draft.question))
        if summary is None:
            return draft.failed("the model that summarises the prompt failed")
        return narrowed(draft, summary, self.dropped)


def _made(name: str, shape: Any, fields: tuple[str, ...]) -> _Model:
    if not callable(shape.ask):
        raise ConfigError(f"{name}: ask={shape.ask!r} was given; give a function prompt -> reply")
    missing = [one for one in fields if one not in shape.prompt]
    if missing:
        raise ConfigError(f"{name}: prompt lacks the fields {', '.join(missing)}")
    return _Model(shape.ask)


def _spoken(said: tuple[Said, ...]) -> list[int]:
    return [n for n, one in enumerate(said) if one.role in SPOKEN and one.text]


def _filled(prompt: str, **values: str) -> str:
    # One pass, not str.format: texts are full of braces.
    names = "|".join(values)
    return re.sub(rf"\{{({names})\}}", lambda match: values[match[1]], prompt)
