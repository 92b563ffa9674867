"""A loop in a thread: an asynchronous function for callers that cannot await.

`asyncio.run` for every call would close the loop that the function's own clients are bound to.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from semcache_core.forks import ForkedChild, abandoned

R = TypeVar("R")

_PATIENCE = 1.0
"""Seconds that the interpreter's end waits for what is under way."""


class BackgroundLoop(ForkedChild):
    """Started when first used. Thread-safe; not to be used from inside itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.watch_forks()

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result or error."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running()).result()

    def close(self) -> None:
        """Stop the loop; another call of `run` starts a new one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE)
        if not thread.is_alive():
            loop.close()

    def in_forked_child(self) -> None:
        self._lock = threading.Lock()
        abandoned.append(self._loop)
        self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="semcache-loop", daemon=True
                )
                self._thread.start()
            return self._loop


BACKGROUND = BackgroundLoop()
atexit.register(BACKGROUND.close)
