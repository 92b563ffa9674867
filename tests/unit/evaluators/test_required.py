"""`required`, and `SequenceMatch` with a worst turn."""

import pytest

from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.evaluators import Cosine, SequenceMatch, required
from semcache_core.models import Candidate, Entry, Query


def pair(similarity=0.9, asked=(), stored=()):
    """A query and one candidate."""
    vector = HashEmbedder().embed(["q"])[0]
    entry = Entry("k", "s", "", b"", 0.0, query="q", vector=vector, turns=tuple(stored))
    return Query("q", vector, tuple(asked)), [Candidate(entry, similarity)]


def test_required_rejects_below_and_is_silent_above():
    """The reason has both numbers."""
    [above] = required(Cosine(), 0.8).score(*pair(0.9))
    [below] = required(Cosine(), 0.95).score(*pair(0.9))
    assert (above.value, above.rejected) == (1.0, False)
    assert (below.value, below.rejected) == (0.0, True)
    assert "0.900 is below 0.95" in below.reason


@pytest.mark.parametrize("minimum", [-0.1, 1.1])
def test_a_minimum_is_a_score(minimum):
    """Named in the error."""
    with pytest.raises(ConfigError, match="minimum"):
        required(Cosine(), minimum)


def test_one_different_turn_is_enough():
    """Equal questions do not outvote a different subject; a missing turn is a different one."""
    match = SequenceMatch(HashEmbedder(), worst=0.7)
    assert match.score(*pair(1.0, ["red shoes"], ["red shoes"]))[0].value == pytest.approx(1.0)
    assert match.score(*pair(1.0, ["red shoes"], ["paris weather"]))[0].value == 0.0
    assert match.score(*pair(1.0, ["red shoes"], []))[0].value == 0.0
    with pytest.raises(ConfigError, match="worst"):
        SequenceMatch(HashEmbedder(), worst=2)
