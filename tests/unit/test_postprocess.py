"""Choosing among candidates, adapting answers, and the temperature rule."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from policy_values import PROMPT, scored

from semcache_core.cache import SemanticCache
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError, EvaluatorError
from semcache_core.postprocess import (
    SOFTMAX_TEMPERATURE,
    Adapter,
    Chosen,
    Sample,
    first,
    make_chooser,
    skip_probability,
    skips,
    softmax,
)

THREE = [scored(0.99, key="a"), scored(0.95, key="b"), scored(0.5, key="c")]


def draws(chooser, n=2000):
    """How often each key is chosen."""
    return Counter(chooser(PROMPT, THREE).candidate.entry.key for _ in range(n))


def test_first_is_the_best():
    """The default serves the best candidate."""
    assert make_chooser() is make_chooser("first") is first
    assert first(PROMPT, THREE) is THREE[0]


def test_random_draws_each_alike_and_repeats_with_its_seed():
    """All candidates have the same chance, and a seed makes the draws repeatable."""
    counts = draws(make_chooser("random", seed=1), 3000)
    assert all(abs(counts[key] - 1000) < 120 for key in "abc")
    same = [[make_chooser("random", seed=s)(PROMPT, THREE) for _ in range(1)] for s in (5, 5)]
    assert same[0] == same[1]


def test_softmax_is_argmax_at_zero_and_flat_when_hot():
    """T = 0 always takes the best; a very high T hardly looks at the values."""
    assert softmax([0.2, 0.9, 0.9], 0.0) == [0.0, 1.0, 0.0]
    assert softmax([0.1, 0.9], 1e9) == pytest.approx([0.5, 0.5])
    assert softmax([1.0, 0.0], 1.0) == pytest.approx([math.e / (1 + math.e), 1 / (1 + math.e)])
    assert draws(make_chooser("softmax", temperature=0.0), 50) == {"a": 50}


def test_softmax_prefers_the_better_of_close_values():
    """By default a value 0.05 lower is drawn e times less often; one far off hardly ever."""
    chooser = make_chooser("softmax", seed=1)
    close = [scored(0.95, key="a"), scored(0.9, key="b"), scored(0.65, key="c")]
    counts = Counter(chooser(PROMPT, close).candidate.entry.key for _ in range(4000))
    assert counts["a"] / counts["b"] == pytest.approx(math.e, rel=0.15)
    assert counts["c"] < 40


@pytest.mark.parametrize(
    "given",
    [
        {"softmax_temperature": 0.1},
        {"post_process": "random", "softmax_temperature": 0.1},
        {"post_process": "softmax", "softmax_temperature": -1},
        {"post_process": "softmax", "softmax_temperature": "hot"},
    ],
)
def test_a_softmax_temperature_that_cannot_work_is_refused(given):
    """The error names the constructor's argument."""
    with pytest.raises(ConfigError, match="softmax_temperature"):
        SemanticCache(embedder=HashEmbedder(), **given)


def test_a_cache_takes_the_softmax_temperature():
    """By name, in the constructor; without it the default."""
    how = {"embedder": HashEmbedder(), "post_process": "softmax"}
    with SemanticCache(**how, softmax_temperature=0.2) as hot, SemanticCache(**how) as cache:
        assert hot._parts.choose == Sample(0.2)
        assert cache._parts.choose == Sample(SOFTMAX_TEMPERATURE)


def test_softmax_sampling_follows_its_probabilities():
    """Frequencies of the draws agree with the formula."""
    counts = draws(make_chooser("softmax", temperature=0.3, seed=3), 4000)
    expected = softmax([s.value for s in THREE], 0.3)
    for key, p in zip("abc", expected, strict=True):
        assert counts[key] / 4000 == pytest.approx(p, abs=0.03)


@pytest.mark.parametrize("values", [[1e308, -1e308], [1000.0, 1001.0], [1e-300, 0.0]])
@pytest.mark.parametrize("temperature", [1e-308, 1e-3, 1.0, 1e308])
def test_softmax_is_stable(values, temperature):
    """No scale of values or temperature overflows or loses the sum of 1."""
    p = softmax(values, temperature)
    assert sum(p) == pytest.approx(1.0)
    assert all(0.0 <= x <= 1.0 for x in p)


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf, True])
def test_a_nonsense_temperature_is_refused(temperature):
    """Negative, infinite and NaN temperatures are ConfigErrors at construction."""
    with pytest.raises(ConfigError, match="temperature"):
        Sample(temperature)


def test_a_users_function_must_return_a_candidate():
    """Its choice is served; anything else is an error that names the function."""
    last = make_chooser(lambda prompt, given: given[-1])
    assert last(PROMPT, THREE) is THREE[-1]
    with pytest.raises(EvaluatorError, match="one of the candidates"):
        Chosen(lambda prompt, given: scored(0.99, key="a"))(PROMPT, THREE)
    sample = Sample(None)
    assert make_chooser(sample) is sample


def test_an_unknown_chooser_is_refused():
    """The error lists what can be given."""
    with pytest.raises(ConfigError, match="'first', 'random', 'softmax'"):
        make_chooser("best")


async def test_adapter_fits_the_answer():
    """Sync and async functions adapt on the async path, sync ones on the sync path."""

    async def shout(question, answer):
        return f"{question} {answer.upper()}"

    polite = Adapter(lambda question, answer: f"{answer}, thanks for asking: {question}")
    assert polite.apply("q", "a") == await polite.aapply("q", "a") == "a, thanks for asking: q"
    assert await Adapter(shout).aapply("q", "a") == "q A"
    assert Adapter(shout).apply("q", "a") == "a"


@pytest.mark.parametrize("bad", [None, "", "  ", 3])
async def test_a_useless_adaptation_leaves_the_answer(bad):
    """Empty or non-text results serve the unadapted answer."""
    adapter = Adapter(lambda question, answer: bad)
    assert adapter.apply("q", "a") == await adapter.aapply("q", "a") == "a"


async def test_a_failing_adaptation_leaves_the_answer():
    """An exception serves the unadapted answer."""

    def fail(question, answer):
        raise RuntimeError("no network")

    assert Adapter(fail).apply("q", "a") == await Adapter(fail).aapply("q", "a") == "a"


def test_adapter_needs_a_function():
    """A non-callable is refused at construction."""
    with pytest.raises(ConfigError, match="adapt="):
        Adapter("polite")


def test_skip_probability_is_gptcaches():
    """0 up to T = 0, 1 / (1 + e^(1/T)) up to 2, then 1."""
    assert skip_probability(None) == skip_probability(0.0) == skip_probability(-1) == 0.0
    assert skip_probability(1.0) == pytest.approx(0.2689, abs=1e-4)
    assert skip_probability(1.999) == pytest.approx(1 / (1 + math.exp(1 / 1.999)))
    assert skip_probability(2.0) == skip_probability(7) == 1.0
    assert skip_probability(1e-9) == pytest.approx(0.0)
    with pytest.raises(ConfigError, match="temperature"):
        skip_probability(math.nan)


def test_skips_compares_a_draw_with_the_probability():
    """A uniform draw below the probability skips; at T = 0 none does, from 2 on all do."""
    assert [skips(1.0, 0.2), skips(1.0, 0.3), skips(0.0, 0.0), skips(2.0, 0.999)] == [
        True, False, False, True,
    ]  # fmt: skip
