"""A prompt on its way to being split: what was said, and what of it is the question so far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from semcache_core.errors import ConfigError
from semcache_core.questions import joined

Dropped = Literal["exact", "ignore"]
"""What becomes of text that a question leaves out: it must match exactly, or is ignored."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message as the model is shown it."""

    role: str
    """"user", "assistant", "system", "tool", or whatever else the framework calls it."""
    text: str | None
    """None: the text has become part of the question, or is ignored."""
    rest: Any = None
    """Images, files, tool calls, a name: whatever it holds beside text, in a canonical form."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt taken apart: nothing is in neither part, unless the user had it ignored."""

    said: tuple[Said, ...]
    """Oldest first, without the texts that are in the question."""
    question: str | None = None
    """What may be paraphrased; None: nothing yet."""
    beside: tuple[Any, ...] = ()
    """What else must match exactly: parts that were cut out of the question."""
    why: str = ""
    """Why there is no question, when there cannot be one."""

    @property
    def exact(self) -> Any:
        """All that must match exactly, as `keys.canonical` takes it."""
        return [[[one.role, one.text, one.rest] for one in self.said], list(self.beside)]

    def failed(self, why: str) -> Draft:
        """The same without a question: only an exact repeat can hit."""
        return replace(self, question=None, why=why)


def asked(draft: Draft) -> Draft:
    """The draft with a question: the last user message's text, if none was taken yet."""
    if draft.question is not None or draft.why:
        return draft
    last = last_user(draft.said)
    return draft.failed("no user message") if last is None else taken(draft, [last])


def taken(draft: Draft, places: Sequence[int]) -> Draft:
    """With the texts of some messages as the question."""
    question = joined([draft.said[n].text or "" for n in places])
    said = tuple(
        replace(one, text=None) if n in places else one for n, one in enumerate(draft.said)
    )
    return replace(draft, said=said, question=question)


def narrowed(draft: Draft, found: str, dropped: Dropped) -> Draft:
    """The draft with a smaller, or another, question; the text it had is not forgotten."""
    if dropped == "ignore":
        return replace(draft, question=found)
    before, there, after = (draft.question or "").rpartition(found)
    around = [before, after] if there else [draft.question]
    return replace(draft, question=found, beside=(*draft.beside, around))


def ignoring(draft: Draft, places: Collection[int]) -> Draft:
    """Without some messages' texts, and without the messages if they held nothing else."""
    said = [
        replace(one, text=None) if n in places else one
        for n, one in enumerate(draft.said)
        if n not in places or one.rest is not None
    ]
    return replace(draft, said=tuple(said))


def last_user(said: Sequence[Said]) -> int | None:
    """Where the newest question is."""
    places = [n for n, one in enumerate(said) if one.role == "user"]
    return places[-1] if places else None


def check_dropped(name: str, dropped: Any) -> None:
    """Raises `ConfigError` for what is neither of the two words."""
    if dropped not in ("exact", "ignore"):
        raise ConfigError(
            f"{name}: dropped={dropped!r} was given; give 'exact' (what the question leaves out "
            "must be the same) or 'ignore' (it does not matter for the answer)"
        )
