"""How values look on a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semcache_core.cli._demo import _time, _verdict, _why
from semcache_core.cli._entries import _answer, _left
from semcache_core.cli._output import size, span
from semcache_core.demos import Asked, Totals
from semcache_core.envelope import seal
from semcache_core.models import Entry

MISS = Asked("How?", "support", False, False, "no candidate", "", "So.", 0.9, tokens=10)
HIT = replace(MISS, hit=True, expected=True, matched="How so?", seconds=0.1, seconds_saved=0.8)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0 s"), (59, "59 s"), (90, "1 min"), (7200, "2 h"), (200_000, "2 d"), (-90, "-1 min")],
)
def test_spans(seconds: float, shown: str) -> None:
    """The largest unit that fits, whole."""
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(12, "12 B"), (1500, "1.5 kB"), (2e6, "2.0 MB"), (3e9, "3.0 GB")]
)
def test_sizes(count: float, shown: str) -> None:
    """Decimal units, as disks are sold."""
    assert size(count) == shown


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (HIT, "hit"),
        (replace(HIT, right=False), "FALSE HIT"),
        (MISS, "miss"),
        (replace(MISS, expected=True), "missed"),
    ],
)
def test_verdicts(row: Asked, verdict: str) -> None:
    """A false hit stands out, and a miss that could have hit is not hidden."""
    assert _verdict(row)[0] == verdict


def test_reasons() -> None:
    """A hit names the stored question, a miss its reason and the author's note."""
    assert _why(HIT) == "like: How so?"
    assert _why(replace(HIT, matched="How?")) == "the same prompt"
    assert (
        _why(replace(MISS, detail="0.7", note="a trap")) == "no candidate: 0.7; near miss (a trap)"
    )


def test_times() -> None:
    """Milliseconds below a second."""
    assert (_time(0.0123), _time(1.5)) == ("12 ms", "1.50 s")


def test_totals_count_false_hits_and_what_was_missed() -> None:
    """The sum of a demonstration hides neither kind of error."""
    rows = [MISS, HIT, replace(HIT, right=False), replace(MISS, expected=True, note="a trap")]
    totals = Totals.of(rows)
    assert (totals.hits, totals.false_hits, totals.missed, totals.near_misses) == (2, 1, 1, 1)
    assert (totals.tokens_spent, totals.tokens_saved) == (20, 20)
    assert totals.seconds == pytest.approx(2.0)
    assert totals.seconds_saved == pytest.approx(1.6)


def test_an_expiry_in_the_future() -> None:
    """Said as what is left."""
    assert _left(1e12).startswith("in ")


@pytest.mark.parametrize("payload", [b"rubbish", seal("nobody's", b"{}")])
def test_an_unreadable_answer_is_said_to_be_one(payload: bytes) -> None:
    """An entry of another package or release can still be listed."""
    assert _answer(Entry("k", "s", "", payload, 0.0)) is None
