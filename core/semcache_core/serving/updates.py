"""Updates of one cache whose every failure is logged and counted, and never the caller's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from semcache_core import telemetry
from semcache_core.control import Control
from semcache_core.envelope import seal
from semcache_core.flow import Parts, adopt, keep, place_for
from semcache_core.models import Entry, Miss, Prompt
from semcache_core.protocols import Codec
from semcache_core.redaction import redacted
from semcache_core.steps import Flow

T = TypeVar("T")
TOO_LARGE = "larger than max_bytes or max_entry_bytes"
log = logging.getLogger("semcache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Generic[T]):
    """What an answer is to the cache."""

    tokens: Callable[[T], int] | int = 0
    """Tokens that the answer cost."""
    keepable: Callable[[T], str] = lambda answer: ""
    """Why the answer may not be stored (empty, cut short, filtered); empty if it may."""
    exact_only: Callable[[T], str] = lambda answer: ""
    """Why only the same prompt may find this answer (it calls tools, say); empty if meaning may."""
    ttl: float | None = None
    """Seconds that it may be served; None: as long as the cache's own."""

    def rules(self) -> dict[str, Any]:
        """By name, as `Serving.saving` takes them."""
        names = ("tokens", "keepable", "exact_only", "ttl")
        return {name: getattr(self, name) for name in names}


def stored(
    parts: Parts,
    prompt: Prompt,
    answer: T,
    codec: Codec[T],
    control: Control,
    *,
    rules: Rules[T],
    miss: Miss | None,
) -> Flow[Entry | None]:
    """The entry that was made of an answer, or None."""
    try:
        if why := rules.keepable(answer):
            parts.recorder.not_stored(why)
            return None
        entry = yield from _kept(parts, prompt, answer, codec, control, rules=rules, miss=miss)
    except Exception as error:  # noqa: BLE001  # the answer is the caller's; caching it is ours
        not_kept(parts, error)
        return None
    if not entry.seq:
        parts.recorder.not_stored(TOO_LARGE)
        return None
    parts.recorder.stored()
    telemetry.stored()
    if control.session is not None:
        parts.sessions.note(control.session, entry.key)
    return entry


def _kept(
    parts: Parts,
    prompt: Prompt,
    answer: T,
    codec: Codec[T],
    control: Control,
    *,
    rules: Rules[T],
    miss: Miss | None,
) -> Flow[Entry]:
    if why := rules.exact_only(answer):
        prompt = replace(prompt, query=None, exact_only=why)
    payload = seal(codec.name, codec.encode(answer))
    tokens = rules.tokens if isinstance(rules.tokens, int) else rules.tokens(answer)
    key = yield from place_for(parts, prompt, anew=not control.read)
    return (
        yield from keep(parts, prompt, payload, key=key, tokens=tokens, ttl=rules.ttl, miss=miss)
    )


def adopted(parts: Parts, entry: Entry) -> Flow[None]:
    """Keep a copy of what the next level served."""
    try:
        yield from adopt(parts, entry)
    except Exception as error:  # noqa: BLE001  # the hit is served; only the copy is lost
        not_kept(parts, error)


def not_kept(parts: Parts, error: Exception) -> None:
    """Log and count an answer that could not be stored."""
    log.warning("semcache: not stored (%s)", redacted(error))
    parts.recorder.error(error)
    parts.recorder.not_stored(type(error).__name__)
