"""Micro-batches: what arrives while a batch runs goes together in the next one.

A request that finds the lane idle runs at once, in its caller's thread or as a task of its own;
nobody ever waits for company. A text that is already waiting or running is not embedded twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import islice

from semcache_core.errors import EmbedderError
from semcache_core.models import Matrix, Vector
from semcache_core.steps import Flow

Ticket = Future[Vector]


class Lane:
    """One queue in front of one embedder, of which one batch runs at a time. Thread-safe."""

    def __init__(self, run: Callable[[list[str]], Flow[Matrix]], max_batch: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._lock = threading.Lock()
        self._waiting: dict[str, Ticket] = {}
        self._running: dict[str, Ticket] = {}
        self._busy = False

    def join(self, texts: Iterable[str]) -> tuple[list[Ticket], bool]:
        """A ticket a text, and whether the caller must now see that `batch` runs."""
        with self._lock:
            tickets = [self._ticket(text) for text in texts]
            leads = bool(self._waiting) and not self._busy
            self._busy |= leads
        return tickets, leads

    def batch(self) -> Flow[bool]:
        """Run what waits; whether more has come meanwhile, which is the caller's to run too."""
        batch = self._board()
        try:
            rows = yield from self._run(list(batch))
        except Exception as error:  # noqa: BLE001  # everyone who waits raises it
            _fail(batch, error)
        except BaseException:  # this runner is being ended, and with it whatever waits for it
            self.abort()
            raise
        else:
            for ticket, row in zip(batch.values(), rows, strict=True):
                ticket.set_result(row)
        return self._leave()

    def drain(self) -> Flow[None]:
        """Run batches until nobody waits."""
        while (yield from self.batch()):
            pass

    def abort(self) -> None:
        """Fail whatever waits: nobody is left to run it."""
        with self._lock:
            left = self._running | self._waiting
            self._running, self._waiting, self._busy = {}, {}, False
        _fail(left, EmbedderError("the embedding was interrupted"))

    def _ticket(self, text: str) -> Ticket:
        found = self._running.get(text) or self._waiting.get(text)
        if found is None:
            found = self._waiting[text] = Future()
            found.set_running_or_notify_cancel()  # so that no waiter can cancel it for the others
        return found

    def _board(self) -> dict[str, Ticket]:
        with self._lock:
            batch = dict(islice(self._waiting.items(), self._max_batch))
            for text in batch:
                del self._waiting[text]
            self._running = batch
            return batch

    def _leave(self) -> bool:
        with self._lock:
            self._running = {}
            self._busy = bool(self._waiting)
            return self._busy


def _fail(tickets: dict[str, Ticket], error: Exception) -> None:
    for ticket in tickets.values():
        if not ticket.done():
            ticket.set_exception(error)
