"""A cache of recent embeddings and micro-batching, around any embedder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextvars import copy_context
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from semcache_core.embedders._lane import Lane, Ticket
from semcache_core.embedders._vectors import failing_as_embedder, plain, unit_rows
from semcache_core.errors import ConfigError
from semcache_core.forks import ForkedChild
from semcache_core.lru import LRU
from semcache_core.models import Matrix, Vector
from semcache_core.protocols import Embedder, TokenEmbedder
from semcache_core.steps import Flow, arun, run, step


class CachingEmbedder(ForkedChild):
    """A `protocols.Embedder` that remembers recent texts and joins concurrent requests.

    `cache_size`: texts remembered, the least recently used one goes first (384 dimensions: 1.5 KB a
    text). `max_batch`: texts that are embedded together; a request with more of them goes straight
    to the embedder. Concurrent smaller requests, from threads and tasks alike, share batches, and a
    text that is on its way is not embedded again. Tasks share them with threads unless the embedder
    has an asynchronous way of its own (a true `native_async`): then with the tasks of their loop.

    Arrays that are handed out are read-only. Raises `ConfigError` for sizes that cannot work,
    `EmbedderError` for whatever the embedder raises or returns that is no vector.
    """

    def __init__(self, inner: Embedder, *, cache_size: int = 10_000, max_batch: int = 64) -> None:
        _check_size("cache_size", cache_size, 0)
        _check_size("max_batch", max_batch, 1)
        self.inner = inner
        self._cache_size = cache_size
        self._max_batch = max_batch
        self._dimension: int | None = None
        self._start()
        self.watch_forks()

    @property
    def identity(self) -> str:
        return self.inner.identity

    @property
    def dimension(self) -> int:
        if self._dimension is None:
            self._dimension = self.inner.dimension
        return self._dimension

    @property
    def native_async(self) -> bool:
        """Whether the model is asked on the event loop; else it is asked in a thread."""
        return bool(getattr(self.inner, "native_async", False))

    def fits(self, text: str) -> bool:
        """Whether the model sees the whole text."""
        return self.inner.fits(text)

    def embed(self, texts: Sequence[str]) -> Matrix:
        texts = plain(texts)
        found, missing = self._recall(texts)
        if len(missing) > self._max_batch:
            found |= zip(missing, run(self._fresh(missing)), strict=True)
        elif missing:
            tickets, leads = self._threads.join(missing)
            if leads and run(self._threads.batch()):
                self._go_on()
            found |= {text: each.result() for text, each in zip(missing, tickets, strict=True)}
        return self._stacked([found[text] for text in texts])

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        texts = plain(texts)
        found, missing = self._recall(texts)
        if len(missing) > self._max_batch:
            found |= zip(missing, await arun(self._fresh(missing)), strict=True)
        elif missing:
            rows = await asyncio.gather(*map(asyncio.wrap_future, self._join(missing)))
            found |= zip(missing, rows, strict=True)
        return self._stacked([found[text] for text in texts])

    def in_forked_child(self) -> None:
        """What was remembered may be half written, what was waited for never comes."""
        self._start()

    def _start(self) -> None:
        self._recent: LRU[str, Vector] = LRU(self._cache_size)
        self._threads = Lane(self._fresh, self._max_batch)
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def _recall(self, texts: list[str]) -> tuple[dict[str, Vector], list[str]]:
        found: dict[str, Vector] = {}
        missing: dict[str, None] = {}
        for text in texts:
            row = self._recent.get(text)
            if row is None:
                missing[text] = None
            else:
                found[text] = row
        return found, list(missing)

    def _fresh(self, texts: list[str]) -> Flow[Matrix]:
        with failing_as_embedder("the embedder"):
            rows = yield from step(self.inner.embed, self.inner.aembed, texts)
        matrix = unit_rows(rows, len(texts), "the embedder", self._dimension)
        self._dimension = matrix.shape[1]
        for text, row in zip(texts, matrix, strict=True):
            # A copy, so that one text remembered does not keep a whole batch in memory.
            self._recent.put(text, _read_only(row.copy()))
        return _read_only(matrix)

    def _join(self, texts: list[str]) -> list[Ticket]:
        if not self.native_async:
            tickets, leads = self._threads.join(texts)
            if leads:
                self._go_on()
            return tickets
        loop = asyncio.get_running_loop()
        lane = self._loops.setdefault(loop, Lane(self._fresh, self._max_batch))
        tickets, leads = lane.join(texts)
        if leads:
            # A task of its own: a cancelled waiter takes nobody's batch along.
            task = loop.create_task(arun(lane.drain()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return tickets

    def _go_on(self) -> None:
        """Run what waits in a thread of its own, not in one that a pool may be short of."""
        context = copy_context()
        # No daemon: onnxruntime aborts a process that ends in the middle of a run.
        thread = threading.Thread(
            target=context.run, args=(run, self._threads.drain()), name="semcache-embed"
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is ending: then in this one
            run(self._threads.drain())

    def _stacked(self, rows: list[Vector]) -> Matrix:
        if len(rows) == 1:
            return rows[0][None]  # a view: read-only as the row is
        return _read_only(np.stack(rows) if rows else np.empty((0, self.dimension), np.float32))


class _Both(Embedder, TokenEmbedder, Protocol):
    """An embedder that shows its token vectors."""


class CachingTokenEmbedder(CachingEmbedder):
    """A `CachingEmbedder` around a `protocols.TokenEmbedder`, which it is, too.

    `token_cache_size`: texts whose token vectors are remembered (some 20 KB a question).
    """

    inner: _Both

    def __init__(self, inner: _Both, *, token_cache_size: int = 1_000, **sizes: int) -> None:
        _check_size("token_cache_size", token_cache_size, 0)
        self._token_cache_size = token_cache_size
        super().__init__(inner, **sizes)

    def embed_tokens(self, texts: Sequence[str]) -> list[Matrix]:
        """For each text shape (pieces without special ones, dimension), unit rows, read-only."""
        texts = plain(texts)
        found = {text: self._recent_tokens.get(text) for text in texts}
        missing = [text for text, rows in found.items() if rows is None]
        with failing_as_embedder("the embedder"):
            fresh = self.inner.embed_tokens(missing) if missing else []
            for text, matrix in zip(missing, fresh, strict=True):
                found[text] = _read_only(matrix)
                self._recent_tokens.put(text, matrix)
        return [rows for text in texts if (rows := found[text]) is not None]

    def _start(self) -> None:
        super()._start()
        self._recent_tokens: LRU[str, Matrix] = LRU(self._token_cache_size)


def _read_only(rows: Matrix) -> Matrix:
    rows.flags.writeable = False
    return rows


def _check_size(name: str, size: int, least: int) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or size < least:
        raise ConfigError(f"{name}: {size!r} was given; it is a whole number of at least {least}")
