"""A loop in a thread: an asynchronous function for callers that cannot await.

`asyncio.run` for every call would close the loop that the function's own clients are bound to.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from semcache_core.embedders._fork import ForkedChild

R = TypeVar("R")


class BackgroundLoop(ForkedChild):
    """Started when first used. Thread-safe; not to be used from inside itself."""

    def __init__(self) -> None:
        self._start()
        self.watch_forks()

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result or error."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running()).result()

    def in_forked_child(self) -> None:
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="semcache-loop", daemon=True
                ).start()
            return self._loop


BACKGROUND = BackgroundLoop()
