"""Waiting, but not for long."""

from __future__ import annotations

import threading
import time

import pytest

from semcache_core.errors import StoreBusy, StoreError
from semcache_core.waiting import Breaker, Queue, within


def test_a_lock_is_held_and_given_back() -> None:
    """Inside it is held, also by who held it before; afterwards it is free, error or not."""
    lock = threading.RLock()
    with within(lock, 1.0), within(lock, 1.0):
        pass
    with pytest.raises(KeyError), within(lock, 1.0):
        raise KeyError
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(lock.acquire(timeout=1.0)))
    thread.start()
    thread.join()
    assert done == [True]


def test_a_lock_that_stays_taken() -> None:
    """Waiting ends with an error that says for how long it was."""
    lock = threading.Lock()
    with lock, pytest.raises(StoreError, match=r"longer than 0\.1 s"), within(lock, 0.1):
        raise AssertionError("it was not free")
    with within(lock, 0.1):
        pass


def test_who_stood_behind_a_wait_in_vain() -> None:
    """They do not wait in vain one after the other; who comes afterwards may try."""
    lock, queue = threading.RLock(), Queue()
    inside, behind = threading.Event(), []

    def wait() -> None:
        try:
            with queue.turn(lock):
                behind.append("its turn")
        except StoreBusy as error:
            behind.append(str(error))

    def first() -> None:
        with queue.turn(lock):
            inside.set()
            time.sleep(0.3)
            raise StoreBusy("somebody else holds it")

    def guarded() -> None:
        with pytest.raises(StoreBusy):
            first()

    threads = [threading.Thread(target=guarded)]
    threads[0].start()
    inside.wait()
    threads += [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(behind) == 5
    assert all("waited in vain" in said for said in behind)
    wait()
    assert behind[-1] == "its turn"


def test_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wait in vain nobody waits for ten times as long; a quick failure costs nothing."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    breaker = Breaker("the server", longest=15.0)
    begun = breaker.check()
    now[0] += 1.0
    breaker.failed(begun)
    with pytest.raises(StoreError, match=r"the server was not reached.* in 10 s"):
        breaker.check()
    now[0] += 10.0
    begun = breaker.check()
    now[0] += 5.0
    breaker.failed(begun)  # fifty seconds would be too long
    now[0] += 14.9
    with pytest.raises(StoreError):
        breaker.check()
    now[0] += 0.1
    breaker.failed(breaker.check())
    breaker.check()
