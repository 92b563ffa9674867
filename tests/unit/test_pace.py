"""How much the index's keeper does at once, and how long it pauses."""

from __future__ import annotations

import time

import pytest

from semcache_core.indexes.pace import Pace


def test_searches_make_the_pieces_small_and_the_pauses_long() -> None:
    """While there are searches little is done at once, and a pause follows; not in a hurry."""
    pace = Pace()
    pace.begin(hurry=False)
    alone = pace.batch
    assert pace.done(0.0, idle=1.0) == 0.0
    pace.searched = time.monotonic()
    pace.begin(hurry=False)
    assert pace.batch < alone
    assert pace.done(0.05, idle=1.0) >= 0.05
    assert pace.left() > 0
    pace.begin(hurry=True)
    assert pace.batch == alone


def test_a_slow_step_is_not_paid_for_with_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk held up for half a minute held up no search: the pause is a second."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace()
    pace.searched = now
    pace.begin(hurry=False)
    now += 30.0
    assert pace.done(0.0, idle=5.0) == 1.0


def test_failures_in_a_row_are_tried_again_ever_later() -> None:
    """Up to a minute, and from the beginning after a step that went well."""
    pace = Pace()
    assert [pace.failed(5.0) for _ in range(5)] == [5, 10, 20, 40, 60]
    pace.begin(hurry=False)
    pace.done(2.0, idle=1.0)
    assert pace.failed(5.0) == 5
