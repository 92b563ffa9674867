"""Threads get their turns in the order they came, and none is lost."""

from __future__ import annotations

import threading
import time

import pytest

from semcache_core.indexes.turnstile import Turnstile


def waiting(turns: Turnstile, count: int) -> None:
    """Return when so many threads wait for their turn."""
    while len(turns._waiting) < count:
        time.sleep(0.001)


def test_first_come_first_served() -> None:
    """Those who wait are let in one after the other, in order."""
    turns, served = Turnstile(1), []

    def enter(number: int) -> None:
        with turns:
            served.append(number)

    with turns:
        threads = []
        for number in range(8):
            threads.append(threading.Thread(target=enter, args=(number,)))
            threads[-1].start()
            waiting(turns, number + 1)
    for thread in threads:
        thread.join()
    assert served == list(range(8))


def test_who_leaves_queues_behind_those_who_wait() -> None:
    """A thread that comes again at once does not overtake."""
    turns, served = Turnstile(1), []
    with turns:
        other = threading.Thread(target=lambda: served.append(turns.__enter__()))
        other.start()
        waiting(turns, 1)
    again = threading.Thread(target=turns.__enter__)
    again.start()
    other.join()
    waiting(turns, 1)
    assert served == [None]
    turns.__exit__(None, None, None)
    again.join()
    turns.__exit__(None, None, None)
    assert turns._free == 1


def test_no_more_than_its_places() -> None:
    """With three places, three are inside at most, and at some time three are."""
    turns, lock, inside, most = Turnstile(3), threading.Lock(), 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(50):
            with turns:
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0002)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3
    assert turns._free == 3


def test_an_error_inside_frees_the_place() -> None:
    """The next one gets in."""
    turns = Turnstile(1)
    with pytest.raises(ZeroDivisionError), turns:
        _ = 1 / 0
    with turns:
        pass


class Interrupted:
    """A lock whose second acquisition is interrupted, as ctrl-C does to a main thread."""

    def __init__(self, called_first: bool, turns: Turnstile) -> None:
        self._turns, self._called_first = turns, called_first
        self._acquired = False
        self.released = False

    def acquire(self) -> None:
        if self._acquired:
            if self._called_first:  # the turn comes, and the interrupt just after it
                self._turns.__exit__(None, None, None)
            raise KeyboardInterrupt
        self._acquired = True

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize("called_first", [False, True])
def test_who_is_interrupted_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, called_first: bool
) -> None:
    """Whether its turn had come or not, the place is free for others afterwards."""
    turns = Turnstile(1)
    turns.__enter__()
    lock = Interrupted(called_first, turns)
    monkeypatch.setattr(threading, "Lock", lambda: lock)
    with pytest.raises(KeyboardInterrupt):
        turns.__enter__()
    if not called_first:
        turns.__exit__(None, None, None)
    assert (turns._free, len(turns._waiting), lock.released) == (1, 0, called_first)
