"""Which entries a session was served, so that asking again brings something new."""

from __future__ import annotations

from threading import Lock

from semcache_core.lru import LRU

_SESSIONS = 10_000  # sessions remembered; the least recently used is forgotten first


class Sessions:
    """Kept in memory: a session is a conversation of this process, not a record."""

    def __init__(self, maxsize: int = _SESSIONS) -> None:
        self._seen: LRU[str, set[str]] = LRU(maxsize)
        self._lock = Lock()

    def has_seen(self, session: str, key: str) -> bool:
        """Whether the entry was served in that session."""
        seen = self._seen.get(session)
        return seen is not None and key in seen

    def note(self, session: str, key: str) -> None:
        """The entry was served in that session."""
        with self._lock:
            seen = self._seen.get(session)
            if seen is None:
                self._seen.put(session, seen := set())
            seen.add(key)

    def drop(self, session: str) -> bool:
        """Forget a session; False if it was not known."""
        return self._seen.pop(session) is not None
