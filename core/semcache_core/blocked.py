"""Pairs of prompt and entry that somebody reported as a wrong hit, kept in the record."""

from __future__ import annotations

import json
from threading import Lock

from semcache_core.store import Store

_NAME = "blocked"
_KEPT = 10_000  # pairs; the oldest go first. A fresh answer under the prompt's own key soon makes
# the block needless, since the exact match then comes first.


class Blocked:
    """Read once at the first question, written at every report."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._pairs: dict[tuple[str, str], None] | None = None

    def is_blocked(self, prompt_key: str, entry_key: str) -> bool:
        """Whether this entry was reported wrong for this prompt."""
        return (prompt_key, entry_key) in self._loaded()

    def block(self, prompt_key: str, entry_key: str) -> None:
        """Never serve this entry for this prompt again."""
        with self._lock:
            pairs = self._loaded()
            pairs[prompt_key, entry_key] = None
            kept = list(pairs)[-_KEPT:]
            self._pairs = dict.fromkeys(kept)
            self._store.set_meta(_NAME, json.dumps(kept))

    def _loaded(self) -> dict[tuple[str, str], None]:
        if self._pairs is None:
            stored = json.loads(self._store.meta(_NAME) or "[]")
            self._pairs = dict.fromkeys((prompt, entry) for prompt, entry in stored)
        return self._pairs
