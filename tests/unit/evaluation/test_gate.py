"""The gate for builds: what it lets through, what it names, and the fixture that offers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from semcache_core.cache import SemanticCache
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation import Asked, Pair, check_traps, evaluate, traps
from semcache_core.evaluation.traps import groups
from semcache_core.evaluators import Cosine

pytest_plugins = ("pytester",)

NEAR = Pair("how do I cook rice in a big pot", "how do I cook rice in a big pan", False, "swap")
SAME = Pair("How do I cook rice?", "how do I cook rice", True)


def test_a_near_miss_that_is_served_fails_and_is_named():
    """A cache that serves by cosine alone is caught, with both questions in the message."""
    with SemanticCache(embedder=HashEmbedder(), threshold=0.0, evaluator=Cosine()) as cache:
        with pytest.raises(AssertionError, match=r"1 near misses.*\nswap: 'how do I cook rice in"):
            check_traps(cache, [NEAR, SAME])
        report = check_traps(cache, [NEAR, SAME], allowed=1.0, kept=1.0)
    assert report.hits == 2


def test_paraphrases_have_to_be_kept():
    """Refusing everything is no way through the gate if paraphrases have to be served."""
    with SemanticCache(embedder=HashEmbedder(), threshold=1.0) as cache:
        check_traps(cache, [NEAR, Pair("boil it", "cook it", True)])
        with pytest.raises(AssertionError, match="have to be"):
            check_traps(cache, [NEAR, Pair("boil it", "cook it", True)], kept=0.5)


@pytest.mark.parametrize("policy", ["verified", "calibrated"])
def test_a_budget_learns_nothing_from_the_gate(tmp_path: Path, policy: str):
    """As many pairs as would certify a budget leave it uncertified, in memory and in the record."""
    pairs = [Pair(f"how do I cook {n}", f"How do I cook {n}?", True) for n in range(300)]
    how = {"embedder": HashEmbedder(), "evaluator": Cosine()}
    with SemanticCache(tmp_path, max_false_hit_rate=0.2, policy=policy, **how) as cache:
        before = cache._parts.policy.state()
        report = check_traps(cache, [*pairs, NEAR])
        assert evaluate(pairs, policy=cache._parts.policy, **how).hits > 0  # a copy of it learns
        assert report.hits == 0
        assert cache._parts.policy.state() == before
        assert "cannot certify" in str(cache.stats().budget)
    with SemanticCache(tmp_path, max_false_hit_rate=0.2, policy=policy, **how) as cache:
        assert cache._parts.policy.state() == before


@pytest.mark.parametrize("share", [{"allowed": 5}, {"kept": -0.1}, {"allowed": "1%"}])
def test_what_is_no_share_is_refused(share):
    """Five percent written as 5 would let every near miss through."""
    with pytest.raises(ConfigError, match=f"{next(iter(share))}: .* give a share"):
        check_traps(None, [NEAR], **share)


def test_pairs_may_be_in_a_file(tmp_path: Path):
    """The file is read as `semcache evaluate` reads it."""
    path = tmp_path / "traps.csv"
    path.write_text("query,stored,same\nplay 5 songs,play 6 songs,0\n", encoding="utf-8")
    with SemanticCache(embedder=HashEmbedder()) as cache:
        assert check_traps(cache, path).lookups == 1


@pytest.mark.parametrize(
    ("cache", "pairs", "message"),
    [
        (None, [SAME], "none of them is a near miss"),
        (None, [Asked("a", "b")], "a stream was given"),
        (object(), [NEAR], "give a SemanticCache"),
    ],
)
def test_what_cannot_be_checked_is_refused(cache, pairs, message):
    """The error names the argument."""
    with pytest.raises(ConfigError, match=message):
        check_traps(cache, pairs)


def test_the_defaults_hold_on_traps_they_were_not_made_with(minilm):
    """Nine in ten near misses that nothing was learnt from are refused, three quarters are kept.

    Differences that the guards are for (numbers, dates, names of a kind, negation) all but never
    pass.
    """
    unseen = [pair for group in groups() if not group.learnt for pair in group.pairs()]
    report = check_traps(None, unseen, allowed=0.13, kept=0.72)
    assert report.lookups > 500
    sure = [one for one in unseen if one.kind in {"number", "entity", "negation", "owner"}]
    check_traps(None, sure, allowed=0.02)


def test_traps_are_typed():
    """All paraphrases, and near misses of the kinds asked for."""
    some = traps(["number"])
    assert {one.kind for one in some} == {"number", "paraphrase"}
    assert len(traps()) > 1_000
    assert all(one.query != one.stored for one in traps())


def test_the_fixture_comes_with_the_package(pytester: pytest.Pytester):
    """A project's tests have `semcache_gate` without importing anything."""
    pytester.makepyfile(
        """
        from semcache_core.cache import SemanticCache
        from semcache_core.embedders import HashEmbedder
        from semcache_core.evaluation import Pair

        def test_gate(semcache_gate):
            with SemanticCache(embedder=HashEmbedder(), threshold=0.0) as cache:
                semcache_gate(cache, [Pair("play 5 songs", "play 6 songs", False)])
                semcache_gate(cache, [Pair("cook rice", "cook brown rice now", False)])
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 near misses are served*", "*'cook rice' got the answer*"])
