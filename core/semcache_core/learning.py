"""Labels for free: a fresh answer that was paid for anyway is compared with the neighbour's.

Runs behind the caller's back on one worker thread with a bounded queue; what does not fit is
dropped, since a label more or less changes nothing and a late answer would.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock

from semcache_core.codecs import text_of
from semcache_core.errors import ConfigError, PayloadError
from semcache_core.keys import digest
from semcache_core.labels import Label, kept_as, packed, unpacked
from semcache_core.models import Entry, Miss, Scored
from semcache_core.policies.calibrated import own_score
from semcache_core.protocols import Certified, Judge, Learner, Policy
from semcache_core.stats import Recorder
from semcache_core.store import Store

__all__ = ["Label", "Learning"]

log = logging.getLogger("semcache")

_QUEUE = 1000
_SAVE_EVERY = 50  # labels; a crash loses no more of them than that


class Learning:
    """Judges answers, tells the policy, and keeps the newest labels for `calibrate`."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        judge: Judge,
        recorder: Recorder,
        scored_by: str,
        *,
        shadow: bool = False,
    ) -> None:
        """`scored_by`: the evaluator's identity; what was learnt holds for no other's scores.

        `shadow`: labels are kept in the record. Those of a cache that serves are no sample, since
        its hits have none.
        """
        self._store, self._policy, self._judge, self._recorder = store, policy, judge, recorder
        self._name = f"policy {digest(scored_by)[:16]}"
        self.labels: deque[Label] = deque(maxlen=10_000)
        self._kept_as = kept_as(scored_by) if shadow else ""
        self._fresh = False  # whether there are labels that the record has not
        self._compared = itertools.count(1)
        self._lock = Lock()
        self._pending: set[Future[None]] = set()
        self._closed = False
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0
        if isinstance(policy, Learner) and (state := store.meta(self._name)):
            self._restore(policy, state)
        if self._kept_as and (kept := store.meta(self._kept_as)):
            self._remember(kept)
        if isinstance(policy, Certified):
            recorder.budget = lambda: str(policy.calibration)
            log.info("semcache: %s", policy.calibration)

    def _restore(self, policy: Learner, state: str) -> None:
        try:
            policy.restore(state)
        except ConfigError as error:
            log.warning(
                "semcache: what the policy had learnt is unreadable, it starts anew: %s", error
            )

    def _remember(self, kept: str) -> None:
        try:
            self.labels.extend(unpacked(kept))
        except ConfigError as error:
            log.warning("semcache: the labels in the record are unreadable: %s", error)

    def learn(self, miss: Miss, fresh: Entry) -> None:
        """Compare in the background the fresh answer with a candidate's.

        A policy that learns says which; for any other the best one is compared, for `labels`.
        """
        scored = miss.explore
        if scored is None and not isinstance(self._policy, Learner):
            scored = next((s for s in miss.considered if not s.score.rejected), None)
        if scored is not None and miss.query is not None:
            self._submit(lambda: self._compare(miss, scored, fresh))

    def report(self, miss: Miss, scored: Scored, correct: bool) -> None:
        """A label that somebody gave."""
        self._note(miss, scored, correct)

    def wait(self) -> None:
        """Until everything submitted so far is learnt, and what was learnt is in the record."""
        with self._lock:
            pending = list(self._pending)
        wait(pending)
        self._save()

    def close(self) -> None:
        """Finish and stop the worker; a second call does nothing."""
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        self.wait()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.shutdown()

    def _compare(self, miss: Miss, scored: Scored, fresh: Entry) -> None:
        neighbour = scored.candidate.entry
        try:
            answers = text_of(fresh.payload), text_of(neighbour.payload)
        except PayloadError:
            return
        verdict = self._judge.same(miss.prompt.query or "", *answers)
        if verdict is None:
            return
        self._note(miss, scored, verdict)
        self._recorder.label(miss.reason, verdict)
        if next(self._compared) % _SAVE_EVERY == 0:
            self._save()

    def _note(self, miss: Miss, scored: Scored, correct: bool) -> None:
        candidate = scored.candidate
        self.labels.append(
            Label(
                question=miss.prompt.query or "",
                stored_question=candidate.entry.query or "",
                similarity=candidate.similarity,
                score=own_score(scored),
                correct=correct,
                entry=candidate.entry.key,
            )
        )
        self._fresh = True
        if isinstance(self._policy, Learner) and miss.query is not None:
            self._policy.observe(miss.query, scored, correct)

    def _submit(self, work: Callable[[], None]) -> None:
        with self._lock:
            if len(self._pending) >= _QUEUE:
                return
            future = self._workers().submit(self._guarded, work)
            self._pending.add(future)
        future.add_done_callback(self._done)

    def _done(self, future: Future[None]) -> None:
        with self._lock:
            self._pending.discard(future)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # nobody waits for this thread's result
            log.warning("semcache: a label was lost (%s: %s)", type(error).__name__, error)
            self._recorder.error(error)

    def _workers(self) -> ThreadPoolExecutor:
        # A fork takes the executor's object along and leaves its thread behind.
        if self._pool is None or self._pid != os.getpid():
            self._pool, self._pid = ThreadPoolExecutor(1, "semcache-learning"), os.getpid()
            self._pending.clear()
        return self._pool

    def _save(self) -> None:
        if isinstance(self._policy, Learner):
            state = self._policy.state()
            if state != self._store.meta(self._name):
                self._store.set_meta(self._name, state)
        if self._kept_as and self._fresh:
            self._fresh = False  # before: a label that comes in between is saved the next time
            self._store.set_meta(self._kept_as, packed(tuple(self.labels)))
