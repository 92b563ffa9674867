"""What is done with a lookup's outcome beside handing it to the caller."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from semcache_core import telemetry
from semcache_core.control import Control
from semcache_core.flow import UNSEEN, Parts
from semcache_core.lru import LRU
from semcache_core.models import Hit, Miss, Outcome, Reason

log = logging.getLogger("semcache")


class Noting:
    """Counts lookups, tells whoever asked to be told, and knows the newest semantic hits."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._recent: LRU[tuple[str, str], Hit] = LRU(1024)
        self._warned = False

    def hit(self, hit: Hit, control: Control, seconds: float) -> None:
        """A lookup that was answered."""
        parts = self._parts
        parts.recorder.hit(hit, seconds)
        telemetry.lookup(hit, seconds)
        parts.store.touch(hit.entry.key)
        if hit.reason is Reason.SEMANTIC:
            self._recent.put((hit.prompt.key, hit.id), hit)
        if control.session is not None:
            parts.sessions.note(control.session, hit.entry.key)
        if control.on_hit is not None:
            _tell(control.on_hit, hit)

    def miss(self, miss: Miss, control: Control, seconds: float) -> None:
        """A lookup that was not."""
        self._parts.recorder.miss(miss, seconds)
        telemetry.lookup(miss, seconds)
        self._warn_once(miss)
        if control.on_miss is not None:
            _tell(control.on_miss, miss)

    def served(self, prompt: str, entry: str) -> Hit | None:
        """The hit that was served for the prompt with this key, if that was not long ago."""
        return self._recent.get((prompt, entry))

    def _warn_once(self, miss: Miss) -> None:
        if miss.detail is UNSEEN and not self._warned:
            self._warned = True
            log.warning(
                "semcache: a question is longer than the embedder's window, or has words or signs "
                "that it does not know; such questions are cached for exact repeats only. Name the "
                "question inside the prompt (question=), or take an embedder with a longer window, "
                "or one that knows the language. This is said once."
            )


def _tell(callback: Callable[[Any], Any], outcome: Outcome) -> None:
    try:
        callback(outcome)
    except Exception as error:  # noqa: BLE001  # the user's callback is not the user's call
        log.warning("semcache: a callback failed: %r", error)
