"""Pairs of prompt and entry that somebody reported as a wrong hit, kept in the record."""

from __future__ import annotations

import json
import time
from threading import Lock

from semcache_core.errors import StoreClosed, StoreError
from semcache_core.store import Store

_NAME = "blocked"
_KEPT = 10_000  # pairs; the oldest go first. A fresh answer under the prompt's own key soon makes
# the block needless, since the exact match then comes first.
_EVERY = 1.0
"""Seconds after which what other processes reported is looked for."""

Pair = tuple[str, str]


class Blocked:
    """Read when it is a second old, written at every report, never over another's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._text: str | None = None
        self._pairs: dict[Pair, None] | None = None
        self._fresh_until = 0.0

    def is_blocked(self, prompt_key: str, entry_key: str) -> bool:
        """Whether this entry was reported wrong for this prompt. Raises `StoreError`.

        Never of a prompt's own entry, whose key a fresh answer will have as well: it is deleted.
        """
        return prompt_key != entry_key and (prompt_key, entry_key) in self._loaded()

    def block(self, prompt_key: str, entry_key: str) -> None:
        """Never serve this entry for this prompt again. Raises `StoreError`."""
        with self._lock:
            while True:
                held = self._store.meta(_NAME)
                kept = list(_parsed(held) | {(prompt_key, entry_key): None})[-_KEPT:]
                text = json.dumps(kept)
                if self._store.swap_meta(_NAME, held, text):
                    break
            self._text, self._pairs = text, dict.fromkeys(kept)

    def _loaded(self) -> dict[Pair, None]:
        pairs = self._pairs
        if pairs is not None and time.monotonic() < self._fresh_until:
            return pairs
        try:
            text = self._store.meta(_NAME)
        except StoreClosed:
            raise
        except StoreError:
            if pairs is None:
                raise
            text = self._text  # what is known still holds
        if pairs is None or text != self._text:
            self._text, self._pairs = text, _parsed(text)
        self._fresh_until = time.monotonic() + _EVERY
        return self._pairs or {}


def _parsed(text: str | None) -> dict[Pair, None]:
    return dict.fromkeys((prompt, entry) for prompt, entry in json.loads(text or "[]"))
