"""Statistics: what is counted, what is estimated, and how it is shown."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from semcache_core.cache import SemanticCache
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.evaluators import Cosine
from semcache_core.models import Hit, Miss, Prompt, Reason
from semcache_core.stats import OTHERS, Audit, Group, Recorder, Stats


def cache(**how: Any) -> SemanticCache:
    """In memory, deciding by cosine alone."""
    return SemanticCache(embedder=HashEmbedder(), evaluator=Cosine(), **how)


def test_lookups_are_counted_by_result_tenant_and_model() -> None:
    """Hits, misses by reason, tokens and rates, over all and for each."""
    tenant = ["a"]
    with cache(namespace=lambda: tenant[0], threshold=0.9) as made:
        made.put("What is it?", "It.", tokens=10)
        assert made.get("What is it?") == "It."
        assert made.get("Something else entirely, said otherwise") is None
        tenant[0] = "b"
        assert made.get("What is it?") is None
        stats = made.stats()
    assert (stats.lookups, stats.hits, stats.exact_hits, stats.missed) == (3, 1, 1, 2)
    assert stats.hit_rate == pytest.approx(1 / 3)
    assert sum(stats.misses.values()) == 2
    assert stats.namespaces == {"a": Group(2, 1, 10), "b": Group(1, 0, 0)}
    assert stats.models == {"": Group(3, 1, 10)}
    assert stats.namespaces["a"].hit_rate == 0.5
    assert Group().hit_rate == 0.0
    assert {"exact hit", "miss", "embed", "search"} <= stats.latency.keys()
    assert stats.latency["miss"].count == 2


def test_money_is_tokens_times_the_models_price() -> None:
    """By model, with one for any other; nothing is known without a price."""
    models = {"big": Group(1, 1, 2_000_000), "small": Group(1, 1, 1_000_000)}
    assert Stats(models=models).money_saved is None
    assert Stats(models=models, prices={"big": 5.0}).money_saved == pytest.approx(10.0)
    assert Stats(models=models, prices={"big": 5, "*": 0.5}).money_saved == pytest.approx(10.5)


def test_prices_belong_to_a_cache_or_to_a_question() -> None:
    """What `stats` is given goes before what the cache was made with."""
    with cache(prices={"*": 1_000_000}) as made:
        made.put("What is it?", "It.", tokens=3)
        made.get("What is it?")
        assert made.stats().money_saved == pytest.approx(3.0)
        assert made.stats(prices={"*": 0}).money_saved == 0.0
        assert made.stats(prices={}).money_saved is None
        for wrong in ({"a": -1}, {"a": "x"}, {"a": True}, {1: 1}, [1], {"a": float("inf")}):
            with pytest.raises(ConfigError, match="prices"):
                made.stats(prices=wrong)  # type: ignore[arg-type]  # that is the mistake


def test_recall_is_not_known_without_comparisons() -> None:
    """And not made up."""
    with cache() as made:
        made.put("What is it?", "It.")
        made.get("What is it?")
        assert made.stats().recall is None
        assert made.stats().precision is None


def ask(made: SemanticCache, question: str, answer: str) -> None:
    """Through the cache, as an adapter does."""
    from semcache_core.asking import Call
    from semcache_core.codecs import JSON

    async def never() -> str:
        raise AssertionError

    made.ask(lambda: made.prompt("json", None, question), Call(JSON, lambda: answer, never))


def test_shadow_mode_tells_precision_and_recall() -> None:
    """What would have been served is compared with what the model said."""
    with cache(shadow=True, threshold=0.9) as made:
        made.put("what is the capital of france", "Paris")
        ask(made, "what is the capital of france?", "Paris")
        ask(made, "what is the capital of france !", "Lyon")
        made.flush()
        stats = made.stats()
    assert stats.audit.would_hits == 2
    assert stats.precision == 0.5
    assert stats.recall == 1.0


def test_missed_answers_lower_the_estimated_recall() -> None:
    """A candidate below the threshold whose answer is the fresh one was missed."""
    with cache(threshold=0.9999) as made:
        made.put("what is the capital of france", "Paris")
        ask(made, "what is the capital of france", "Paris")
        ask(made, "what is the big capital of france", "Paris")
        made.flush()
        stats = made.stats()
    assert stats.audit == Audit(misses=1, misses_right=1)
    assert stats.recall == pytest.approx(0.5)


def test_the_estimate_is_what_its_docstring_says() -> None:
    """Missed: the share found among compared near misses, of all of them."""
    stats = Stats(
        lookups=20,
        hits=10,
        exact_hits=4,
        misses={Reason.BELOW.value: 8, Reason.EMPTY.value: 2},
        audit=Audit(would_hits=2, would_right=1, misses=4, misses_right=2),
    )
    assert stats.recall == pytest.approx((4 + 3) / (4 + 3 + 4))
    assert Stats(audit=Audit(misses=1)).recall is None


def test_a_reported_hit_is_counted() -> None:
    """So that somebody sees how often it happens."""
    with cache(threshold=0.5) as made:
        made.put("what is the capital of france", "Paris")
        prompt = made.prompt("json", None, "what is the capital of france?")
        from semcache_core.codecs import JSON

        hit = made.find(prompt, JSON)
        assert isinstance(hit, Hit)
        made.report_wrong(hit)
        assert made.stats().audit.reported == 1


def test_many_tenants_do_not_fill_the_memory() -> None:
    """From the thousandth on they are counted together."""
    recorder = Recorder()
    for number in range(1_500):
        recorder.miss(Miss(Prompt("s", "k", namespace=str(number)), Reason.EMPTY), 0.0)
    namespaces = recorder.picture().namespaces
    assert len(namespaces) == 1_001
    assert namespaces[OTHERS].lookups == 500


def test_the_views_show_the_figures_and_escape_names() -> None:
    """As rich's table and as HTML, with nothing of a tenant's name taken for markup."""
    stats = Stats(
        lookups=4,
        hits=3,
        exact_hits=1,
        misses={"no candidate": 1},
        errors={"StoreError": 2},
        tokens_saved=1234,
        models={"<b>gpt</b>": Group(4, 3, 1234), **{f"m{n}": Group() for n in range(9)}},
        namespaces={"[red]x": Group(4, 3, 1234)},
        prices={"*": 1_000_000},
        latency=_latency(),
        audit=Audit(would_hits=4, would_right=3),
    )
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(stats)
    text, html = console.export_text(), stats._repr_html_()
    for shown in ("75.0%", "1,234", "1 exact, 2 semantic", "StoreError", "and 2 more", "1,234.00"):
        assert shown in text
        assert shown in html
    assert "[red]x" in text
    assert "&lt;b&gt;gpt" in html
    assert "<b>gpt" not in html


def test_the_views_show_small_figures_as_such() -> None:
    """The first hits save less than a cent, and a new cache holds less than a megabyte."""
    stats = Stats(tokens_saved=12, prices={"*": 2.5}, models={"m": Group(1, 1, 12)}, size=8_828)
    html = stats._repr_html_()
    assert "0.000030" in html
    assert "8.8 kB" in html
    assert "not stored" not in html
    told = Stats(not_stored={"empty": 2, "refused": 1}, size=12_345_678)._repr_html_()
    assert "3: 2 empty, 1 refused" in told
    assert "12.3 MB" in told


def _latency() -> Any:
    recorder = Recorder()
    recorder.stage("embed", 0.002)
    return recorder.picture().latency


def test_everything_is_json() -> None:
    """For dashboards of one's own."""
    with cache() as made:
        made.put("What is it?", "It.")
        made.get("What is it?")
        told = json.loads(json.dumps(made.stats().to_dict()))
    assert told["hits"] == 1
    assert told["recall"] is None
    assert told["namespaces"] == {"": {"lookups": 1, "hits": 1, "tokens_saved": 0}}


def test_counting_imports_neither_rich_nor_opentelemetry() -> None:
    """Statistics cost nothing to those who do not look at them."""
    code = (
        "import sys; from semcache_core import SemanticCache;"
        "from semcache_core.embedders import HashEmbedder;"
        "c = SemanticCache(embedder=HashEmbedder()); c.put('a', 'b'); c.get('a'); c.stats();"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"rich", "opentelemetry"} & set(done.stdout.split())
