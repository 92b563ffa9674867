"""How a request's temperature draws among acceptable candidates."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from policy_values import PROMPT, scored

from semcache_core.variety import Variety

CLOSE = [scored(0.95, key="a"), scored(0.9, key="b"), scored(0.65, key="c")]


def drawn(heat: float) -> Counter[str]:
    """How often each is served to requests of this temperature."""
    variety, prompt = Variety(temperature="sample", seed=1), replace(PROMPT, temperature=heat)
    return Counter(variety.choose(prompt, CLOSE).candidate.entry.key for _ in range(4000))


def test_an_ordinary_temperature_prefers_the_better():
    """At 1 a score 0.05 lower is drawn e times less often; far ones hardly ever."""
    counts = drawn(1.0)
    assert counts["a"] / counts["b"] == pytest.approx(math.e, rel=0.15)
    assert counts["c"] < 40


def test_hotter_requests_draw_more_evenly():
    """At 2 the difference is the square root of that, and at 0 there is none to draw."""
    counts = drawn(2.0)
    assert counts["a"] / counts["b"] == pytest.approx(math.sqrt(math.e), rel=0.15)
    assert set(drawn(0.0)) == {"a"}
