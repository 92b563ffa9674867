"""Lookups in one cache whose every failure is a miss: logged, counted, and never the caller's.

`flow` finds the entry and raises; here its answer is decoded afresh, and what was raised is caught.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from semcache_core.control import Control, current
from semcache_core.envelope import unseal
from semcache_core.errors import PayloadError, StoreClosed
from semcache_core.explain import Explanation
from semcache_core.flow import Parts, Survey, concluded, look, surveyed, withholding
from semcache_core.models import Entry, Hit, Miss, Outcome, Prompt, Reason
from semcache_core.protocols import Codec
from semcache_core.redaction import redacted
from semcache_core.steps import Flow

log = logging.getLogger("semcache")


def glanced(parts: Parts, prompt: Prompt, codec: Codec[Any], control: Control) -> Hit | None:
    """The exact match, if this process holds it in memory."""
    try:
        plain = control.read and not parts.shadow and not parts.variety.varies(prompt)
        entry = parts.store.hot(prompt.key) if plain else None
        if entry is None or withholding(parts, prompt, entry, control):
            return None
        age = max(0.0, parts.clock() - entry.created)
        read = _read(parts, entry, codec)
        if isinstance(read, str):
            return None
        return Hit(prompt, entry, 1.0, Reason.EXACT, age, 1.0, "the same prompt", read[0])
    except Exception as error:  # noqa: BLE001  # a failing store must not break the user's call
        _failed(parts, prompt, error)
        return None


def looked(parts: Parts, prompt: Prompt, codec: Codec[Any], control: Control) -> Flow[Outcome]:
    """An answer by key, else by meaning."""
    try:
        outcome = yield from look(parts, prompt, control)
    except Exception as error:  # noqa: BLE001  # a failing part must not break the user's call
        return _failed(parts, prompt, error)
    return _decoded(parts, outcome, codec) if isinstance(outcome, Hit) else outcome


def explained(parts: Parts, prompt: Prompt) -> Flow[Explanation]:
    """A lookup taken apart, which counts and changes nothing. Raises `StoreClosed`."""
    try:
        survey = yield from surveyed(parts, prompt, current(), thorough=True)
    except StoreClosed:
        raise
    except Exception as error:  # noqa: BLE001  # a failing part is what is to be explained
        return Explanation(Survey(prompt, parts.clock()), _failed(parts, prompt, error))
    return Explanation(survey, concluded(parts, survey))


def _decoded(parts: Parts, hit: Hit, codec: Codec[Any]) -> Outcome:
    """The hit with its answer; an entry that cannot be read is a miss."""
    read = _read(parts, hit.entry, codec)
    if isinstance(read, str):
        return Miss(hit.prompt, Reason.UNREADABLE, read)
    return replace(hit, answer=read[0])


def _read(parts: Parts, entry: Entry, codec: Codec[Any]) -> tuple[Any] | str:
    """The answer, or why it cannot be read (logged and counted)."""
    try:
        opened = unseal(entry.payload)
        if opened.codec != codec.name:
            raise PayloadError(f"the entry is of kind {opened.codec!r}, not {codec.name!r}")
        return (codec.decode(opened.data),)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the model can answer
        log.warning("semcache: entry %s is unreadable: %s", entry.key[:12], error)
        parts.recorder.error(error)
        return str(error) or type(error).__name__


def _failed(parts: Parts, prompt: Prompt, error: Exception) -> Miss:
    level = logging.DEBUG if getattr(error, "again", False) else logging.WARNING
    log.log(level, "semcache: lookup failed (%s)", redacted(error))
    parts.recorder.error(error)
    return Miss(prompt, Reason.FAILED, redacted(error))
