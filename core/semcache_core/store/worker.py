"""One background thread, started when there is first something to do."""

from __future__ import annotations

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable

from semcache_core.errors import SemcacheError

_log = logging.getLogger(__name__)

_AFTER_FAILURE = 5.0


class Worker:
    """Runs a chore again and again, as late as the chore allows.

    `chore` is a bound method that returns the seconds until it wants to be called again. It is
    held weakly, so that the thread does not keep its owner alive. What it raises is logged, and
    told to `failed`.
    """

    def __init__(
        self, chore: Callable[[], float], name: str, failed: Callable[[Exception], None]
    ) -> None:
        self._chore = weakref.WeakMethod(chore)
        self._name, self._failed = name, failed
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have the chore called soon."""
        if not self._awake.is_set():
            self._awake.set()
        self.start()

    def start(self) -> None:
        """Have the chore called from now on, when it thinks it is time."""
        if self._thread is None:
            self._start()

    def stop(self, timeout: float | None = None) -> None:
        """Return when the thread has ended; it is not started again."""
        self._stopping = True
        self._awake.set()
        thread = self._thread
        # The last reference to the owner may be the thread's own, and then it stops itself.
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def reset(self) -> None:
        """For a forked child, which has no thread but a copy of the locks."""
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopping:
                # A daemon, so that a forgotten close() does not keep the program from ending.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause: float = 0.0
        while not self._stopping:
            self._awake.wait(None if math.isinf(pause) else pause)
            self._awake.clear()
            chore = self._chore()
            if chore is None or self._stopping:
                return
            pause = self._call(chore)
            del chore

    def _call(self, chore: Callable[[], float]) -> float:
        try:
            return chore()
        except SemcacheError as error:
            _log.warning("semcache: work in the background waits: %s", error)
            self._failed(error)
        except Exception as error:  # noqa: BLE001  # a thread that ends does nothing any more
            _log.exception("semcache: work in the background failed; it is tried again")
            self._failed(error)
        return _AFTER_FAILURE


class Every:
    """Lets something happen at most every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def run(self, work: Callable[[], None]) -> float:
        """Do the work if it is time; seconds until it is time again."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._seconds
            work()
        return max(self._next - time.monotonic(), 0.0)
