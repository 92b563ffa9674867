"""Threads take turns, first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turnstile:
    """Lets `places` threads in at a time, in the order they came; `with turnstile: ...`.

    A `threading.Semaphore` lets the thread that has just left in again before those who wait:
    under the interpreter's lock one thread then does several searches in a row while the others
    wait for all of them, and the slowest of a hundred takes a hundred times the median.
    """

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # a KeyboardInterrupt while waiting
            self._give_up(turn)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._free += 1

    def _give_up(self, turn: threading.Lock) -> None:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:  # it was called meanwhile
                self._pass_on()
