"""How much a step of the keeper does, and how long it pauses after it."""

from __future__ import annotations

import time

_BATCH, _SMALL_BATCH = 64, 16
_SEARCHING = 0.25
"""Seconds after a search in which another one is to be expected."""
_YIELDING = 3.0
_YIELDED = 1.0
"""Seconds a pause for searches lasts at most: what a slow disk held up did not hold up searches."""
_LONGEST = 60.0


class Pace:
    """Chroma holds the interpreter's lock while it writes.

    So while there are searches, the pieces are small, and three times as long as each took it
    pauses, a second at most, unless in a hurry.
    """

    def __init__(self) -> None:
        self.searched = 0.0
        """When there was a search last."""
        self.batch = _BATCH
        """Vectors that the present step may write."""
        self._failures = 0
        self._not_before = self._begun = 0.0
        self._gentle = False

    def left(self) -> float:
        """Seconds of a pause that are left."""
        return self._not_before - time.monotonic()

    def begin(self, *, hurry: bool) -> None:
        """A step begins."""
        self._begun = time.monotonic()
        self._gentle = not hurry and self._begun - self.searched < _SEARCHING
        self.batch = _SMALL_BATCH if self._gentle else _BATCH

    def done(self, pause: float, idle: float) -> float:
        """The step went well; seconds until the next, for one that would wait for `pause`."""
        self._failures = 0
        if self._gentle and pause < idle:
            took = time.monotonic() - self._begun
            return self.later(max(pause, min(_YIELDING * took, _YIELDED)))
        return pause

    def failed(self, retry: float) -> float:
        """The step failed: `retry` seconds, and twice as long each further time."""
        self._failures += 1
        return self.later(min(retry * 2 ** (self._failures - 1), _LONGEST))

    def later(self, seconds: float) -> float:
        """A pause that a wake-up does not cut short."""
        self._not_before = time.monotonic() + seconds
        return seconds
