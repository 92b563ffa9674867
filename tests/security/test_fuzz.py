"""The fuzzer's promises hold for the first inputs; the script is run for a million now and then."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fuzz


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_the_first_inputs(target: str) -> None:
    """A few thousand random mutations break no promise."""
    fuzz.randomly(fuzz.TARGETS[target](), 3_000, seed=1)


def test_a_broken_promise_is_found_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The input is printed, and the error goes on."""

    def target(data: bytes) -> None:
        assert b"lc" not in data

    with pytest.raises(AssertionError):
        fuzz.randomly(target, 1_000, seed=1)
    assert "input: b" in capsys.readouterr().err
