"""The facade: what a lookup and an update promise, whatever fails inside."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.control import no_cache, offline, read_only, refresh, settings
from semcache_core.errors import (
    ConfigError,
    EmbedderError,
    OfflineMiss,
    StoreCorrupt,
    UncacheableError,
)
from semcache_core.models import Hit, Miss, Reason, Score

WORDS = ["cancel", "order", "refund", "invoice", "login", "password", "weather", "paris"]


class WordEmbedder:
    """Bag of known words: texts with the same known words are equal by meaning."""

    identity = "words-1"
    dimension = len(WORDS) + 1

    def __init__(self):
        self.calls = 0
        self.broken = False

    def fits(self, text):
        return len(text) < 200

    def embed(self, texts):
        if self.broken:
            raise EmbedderError("out of order")
        self.calls += 1
        rows = np.array(
            [[word in text.lower() for word in WORDS] + [0.01] for text in texts], np.float32
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    async def aembed(self, texts):
        return self.embed(texts)


class Approve:
    """An evaluator that takes the cosine as it is, or fails."""

    name = "approve"

    def __init__(self):
        self.broken = False
        self.reject = False

    def score(self, query, candidates):
        if self.broken:
            raise RuntimeError("evaluator down")
        return [
            Score(max(0.0, c.similarity), "approve", "no" if self.reject else "", self.reject)
            for c in candidates
        ]

    async def ascore(self, query, candidates):
        return self.score(query, candidates)


@pytest.fixture
def embedder():
    return WordEmbedder()


@pytest.fixture
def evaluator():
    return Approve()


@pytest.fixture
def clock():
    class Clock:
        now = 1_000.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def make(embedder, evaluator, clock):
    """Make caches that are closed at the end."""
    made = []

    def _make(path=None, **more):
        more = {
            "embedder": embedder,
            "evaluator": evaluator,
            "threshold": 0.9,
            "clock": clock,
        } | more
        made.append(SemanticCache(path, **more))
        return made[-1]

    yield _make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make):
    return make()


def found(cache, question, exact=None):
    return cache.find(cache.prompt("json", exact, question), JSON)


def test_a_reworded_question_is_answered(cache):
    """The exact words hit exactly, other words by meaning, another question not at all."""
    assert cache.get("How do I cancel my order?") is None
    assert cache.put("How do I cancel my order?", "Press cancel.")
    assert found(cache, "How do I cancel my order?").reason is Reason.EXACT
    reworded = found(cache, "Cancel an order, please")
    assert reworded.reason is Reason.SEMANTIC
    assert reworded.answer == "Press cancel."
    assert reworded.similarity > 0.99
    missed = found(cache, "What is the weather?")
    assert (bool(missed), missed.reason) == (False, Reason.EMPTY)


async def test_the_asynchronous_methods_do_the_same(make):
    """`aget` and `aput` behave as `get` and `put`."""
    async with make() as cache:
        assert await cache.aput("refund?", {"days": 14})
        assert await cache.aget("a refund") == {"days": 14}
        assert await cache.aget("login") is None
        assert (await cache.aexplain("a refund")).outcome
        await cache.aflush()
        assert await cache.adelete(found(cache, "refund?").id) == 1
        assert await cache.aclear() == 0


def test_whatever_else_differs_is_a_miss(make):
    """Another exact part or another namespace is another world."""
    cache, other = make(namespace="a"), make(namespace="b")
    cache.put("cancel order", "yes", exact={"model": "m1"})
    assert cache.get("order: cancel", exact={"model": "m1"}) == "yes"
    assert cache.get("cancel order", exact={"model": "m2"}) is None
    assert cache.get("cancel order") is None
    assert other.get("cancel order", exact={"model": "m1"}) is None


def test_an_answer_is_decoded_afresh(cache):
    """A caller's change never reaches the next one."""
    cache.put("refund", {"days": [14]})
    cache.get("refund")["days"].append(99)
    assert cache.get("refund") == {"days": [14]}


def test_a_miss_pays_for_its_embedding_once(make, embedder):
    """The update reuses what the lookup embedded."""
    cache = make()
    missed = found(cache, "refund")
    before = embedder.calls
    cache.save(missed.prompt, "14 days", JSON, miss=missed)
    assert embedder.calls == before
    assert cache.get("the refund") == "14 days"


def test_a_newer_answer_replaces_the_older(cache):
    """Put twice: the new one wins, for both kinds of hit."""
    cache.put("refund", "7 days")
    cache.put("refund", "14 days")
    assert cache.get("refund") == cache.get("my refund") == "14 days"
    assert cache.stats().entries == 1


def test_a_text_longer_than_the_window_is_found_exactly(cache, caplog):
    """It is never embedded, and said once."""
    long = "cancel order " * 40
    with caplog.at_level(logging.WARNING, "semcache"):
        assert cache.put(long, "yes")
        assert cache.get(long) == "yes"
        assert found(cache, long + "!").reason is Reason.EXACT_ONLY
        assert found(cache, long + "?").reason is Reason.EXACT_ONLY
    assert caplog.text.count("longer than the embedder's window") == 1


def test_a_prompt_without_a_question_is_found_exactly(cache):
    """And the miss says why."""
    prompt = cache.prompt("json", {"all": "of it"})
    assert cache.find(prompt, JSON).reason is Reason.EXACT_ONLY
    cache.save(prompt, "yes", JSON)
    assert cache.find(prompt, JSON).answer == "yes"


@pytest.mark.parametrize("broken", ["embedder", "evaluator"])
def test_a_failing_part_is_a_miss_and_the_answer_is_kept(make, embedder, evaluator, broken, caplog):
    """Logged and counted, and the exact match still works."""
    cache = make()
    cache.put("refund", "14 days")
    {"embedder": embedder, "evaluator": evaluator}[broken].broken = True
    missed = found(cache, "my refund")
    assert missed.reason is Reason.FAILED
    assert cache.save(missed.prompt, "two weeks", JSON, miss=missed)
    assert cache.get("my refund") == "two weeks"
    assert sum(cache.stats().errors.values()) >= 1
    assert "semcache: lookup failed" in caplog.text


def test_a_failing_store_is_a_miss_and_a_refusal(cache, monkeypatch):
    """Neither lookup nor update raises."""

    def down(*args, **kwargs):
        raise OSError("disk gone")

    monkeypatch.setattr(cache._parts.store, "get", down)
    monkeypatch.setattr(cache._parts.store, "put", down)
    assert found(cache, "refund").reason is Reason.FAILED
    assert cache.put("refund", "14 days") is False
    assert cache.stats().not_stored == {"OSError": 1}


def test_a_record_that_is_damaged_while_open_is_a_miss(make, tmp_path):
    """What was reported wrong cannot be read; a prompt's own answer would be gone by then."""
    make(tmp_path / "c").put("How do I cancel my order?", "Press cancel.")
    cache = make(tmp_path / "c")
    assert cache._parts.store.get(cache.prompt("json", None, "How do I cancel my order?").key)

    def damaged(name):
        raise StoreCorrupt("damaged")

    cache._parts.store.meta = damaged
    assert found(cache, "How do I cancel my order?").reason is Reason.EXACT
    assert found(cache, "Cancel an order, please").reason is Reason.FAILED
    assert cache.stats().errors["StoreCorrupt"] >= 1
    del cache._parts.store.meta


def test_an_unreadable_entry_is_a_miss(cache):
    """A future version or a damaged payload is counted, and the next answer replaces it."""
    cache.put("refund", "14 days")
    store = cache._parts.store
    [entry] = store.entries()
    store.put([replace(entry, payload=b"semcache 9 json 0\n{}")])
    missed = found(cache, "refund")
    assert missed.reason is Reason.UNREADABLE
    assert "9" in missed.detail
    cache.put("refund", "15 days")
    assert cache.get("refund") == "15 days"


def test_an_entry_of_another_kind_is_never_handed_over(cache):
    """Even under the same key, a codec gets only what it wrote."""

    class Other:
        name = "other"

        def encode(self, answer):
            return b"x"

        def decode(self, data):
            raise AssertionError("not mine")

        def text(self, data):
            return ""

    prompt = cache.prompt("json", None, "refund")
    cache.save(prompt, "14 days", JSON)
    assert cache.find(prompt, Other()).reason is Reason.UNREADABLE


def test_what_is_not_json_is_not_stored(cache):
    """`put` says no and counts it."""
    assert cache.put("refund", object()) is False
    assert cache.stats().not_stored == {"PayloadError": 1}


def test_a_guards_reason_reaches_the_miss(make, evaluator):
    """The miss says which guard rejected and why."""
    cache = make()
    cache.put("refund", "14 days")
    evaluator.reject = True
    missed = found(cache, "a refund")
    assert (missed.reason, missed.detail) == (Reason.REJECTED, "no")


def test_an_expired_entry_is_not_served(make, clock):
    """Neither exactly nor by meaning; an entry's own TTL comes first."""
    cache = make(ttl=10)
    cache.put("refund", "14 days")
    cache.put("invoice", "monthly", ttl=100)
    clock.now += 11
    assert cache.get("refund") is None
    assert cache.get("my refund") is None
    assert cache.get("an invoice") == "monthly"


def test_switching_off_for_a_block(cache):
    """no_cache, refresh and read_only do what they say."""
    cache.put("refund", "14 days")
    with no_cache():
        assert found(cache, "refund").reason is Reason.SKIPPED
        assert cache.put("login", "x") is False
    with refresh():
        assert cache.get("refund") is None
        assert cache.put("refund", "15 days")
    with read_only():
        assert cache.get("refund") == "15 days"
        assert cache.put("login", "x") is False
    assert cache.get("login") is None


def test_offline_raises_instead_of_asking(cache):
    """A stored answer is served, a miss says that nothing is there."""
    cache.put("refund", "14 days")
    with offline():
        assert cache.get("my refund") == "14 days"
        with pytest.raises(OfflineMiss, match="nothing is stored"):
            cache.get("weather")


def test_a_session_is_not_served_the_same_twice(cache):
    """Until it is dropped; other sessions are not concerned."""
    cache.put("refund", "14 days")
    with settings(session="ann"):
        assert cache.get("refund") == "14 days"
        assert found(cache, "refund").reason is Reason.SEEN
        assert found(cache, "my refund").reason is Reason.SEEN
        assert cache.drop_session("ann")
        assert cache.get("my refund") == "14 days"
    with settings(session="bob"):
        assert cache.get("refund") == "14 days"


def test_callbacks_are_told(cache, caplog):
    """And a failing callback breaks nothing."""
    told = []

    def on_hit(hit):
        told.append(hit)
        raise RuntimeError("callback")

    with settings(on_hit=on_hit, on_miss=told.append):
        cache.get("refund")
        cache.put("refund", "14 days")
        assert cache.get("refund") == "14 days"
    assert [type(one) for one in told] == [Miss, Hit]
    assert "a callback failed" in caplog.text


def test_a_stricter_factor_refuses_what_the_threshold_takes(make):
    """The factor scales the policy's threshold for this call."""
    cache = make(threshold=0.6)
    cache.put("cancel order", "yes")
    assert cache.get("cancel order refund") == "yes"
    with settings(factor=1.5):
        assert cache.get("cancel order refund") is None


def test_a_reported_wrong_hit_is_not_served_again(make, tmp_path):
    """The pair is blocked for good, other askers still get the answer; an exact one is deleted."""
    cache = make(tmp_path / "c")
    cache.put("refund", "14 days")
    hit = found(cache, "my refund")
    cache.report_wrong(hit.mark)
    assert found(cache, "my refund").reason is Reason.BLOCKED
    assert cache.get("your refund") == "14 days"
    cache.close()
    again = make(tmp_path / "c")
    assert found(again, "my refund").reason is Reason.BLOCKED
    again.report_wrong(found(again, "refund"))
    assert again.get("your refund") is None


@pytest.mark.parametrize("given", [None, {"id": "x"}, "x"])
def test_only_a_hit_can_be_reported(cache, given):
    """The error says what is taken."""
    with pytest.raises(ConfigError, match="report_wrong"):
        cache.report_wrong(given)


def test_a_namespace_callable_that_fails_closes(make):
    """No tenant, no cache."""
    tenant = {"now": "a"}
    cache = make(namespace=lambda: tenant["now"])
    cache.put("refund", "14 days")
    assert cache.get("refund") == "14 days"
    for now in ("", None):
        tenant["now"] = now
        with pytest.raises(UncacheableError, match="namespace"):
            cache.prompt("json", None, "refund")
    del tenant["now"]
    with pytest.raises(UncacheableError, match="failed"):
        cache.explain("refund")
    assert cache.get("refund") is None
    assert not cache.put("refund", "30 days")
    assert cache.stats().not_stored == {"UncacheableError": 2}


def nested(depth: int = 5_000) -> list[Any]:
    """A list in a list, and so on."""
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


def itself() -> dict[str, Any]:
    """A mapping that holds itself."""
    loop: dict[str, Any] = {}
    loop["me"] = loop
    return loop


@pytest.mark.parametrize("odd", [nested(), itself(), object()], ids=["deep", "itself", "object"])
def test_what_has_no_stable_form_is_not_cached_and_does_not_raise(cache, odd):
    """What a tool returned may be anything; the program goes on without the cache."""
    assert cache.get("refund", exact=odd) is None
    assert not cache.put("refund", "14 days", exact=odd)
    assert cache.stats().not_stored == {"UncacheableError": 2}
    with pytest.raises(UncacheableError):
        cache.explain("refund", exact=odd)


def test_an_answer_that_comes_while_it_is_looked_for_is_an_exact_hit(make):
    """Found by meaning only because it was stored a moment ago: an exact hit all the same."""
    cache = make()
    cache.put("where is my parcel", "on its way")  # something to have been looked for near
    prompt = cache.prompt("json", None, "how long do refunds take")
    store, real = cache._parts.store, cache._parts.store.get

    def late(key: str) -> Any:
        store.get = real
        found = real(key)
        cache.put("how long do refunds take", "14 days")
        return found

    store.get = late
    cache._parts.store._hot.clear()
    hit = cache.find(prompt, JSON)
    assert (hit.answer, hit.reason) == ("14 days", Reason.EXACT)
    cache.report_wrong(hit)
    assert cache.get("how long do refunds take") is None
    assert cache.put("how long do refunds take", "30 days")
    assert cache.get("how long do refunds take") == "30 days"


def test_a_prompt_is_never_kept_from_its_own_answer(cache):
    """A report that blocked the pair of a prompt and itself, as was possible, blocks nothing."""
    cache.put("refund", "14 days")
    key = cache.prompt("json", None, "refund").key
    cache._parts.blocked.block(key, key)
    assert cache.get("refund") == "14 days"
    cache.report_wrong({"id": key, "prompt": key, "hit": "semantic"})
    assert cache.get("refund") is None
    cache.put("refund", "30 days")
    assert cache.get("refund") == "30 days"


def test_explain_counts_nothing_and_shows_all(cache):
    """Candidates, scores and the decision; a string that a person can read."""
    cache.put("cancel order", "yes")
    before = cache.stats().lookups
    explained = cache.explain("please cancel the order")
    assert explained.outcome.reason is Reason.SEMANTIC
    text = str(explained)
    assert text.startswith("HIT (semantic)")
    assert "'cancel order': value 1.000, cosine 1.000" in text
    assert str(cache.explain("weather")).startswith("MISS (no candidate)")
    assert cache.stats().lookups == before


def test_shadow_mode_serves_nothing_and_labels(make):
    """Would-be hits are compared with the fresh answers."""
    cache = make(shadow=True)
    cache.put("cancel order", "Press cancel.")
    for question, answer in [("cancel the order", "press CANCEL"), ("an order cancel", "No way.")]:
        missed = found(cache, question)
        assert missed.reason is Reason.SHADOW
        cache.save(missed.prompt, answer, JSON, miss=missed)
    cache.flush()
    assert [label.correct for label in cache.labels()] == [True, False]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_put_after_a_missed_get_labels(make, embedder, asynchronous):
    """By hand as by `memoize`: shadow mode compares, and the question is embedded once."""
    cache = make(shadow=True)
    for question, answer in (("cancel order", "x"), ("order cancel!", "x"), ("cancel, order", "y")):
        if asynchronous:
            assert await cache.aget(question) is None
            assert await cache.aput(question, answer)
        else:
            assert cache.get(question) is None
            assert cache.put(question, answer)
    cache.flush()
    assert [label.correct for label in cache.labels()] == [True, False]
    assert embedder.calls == 3
    cache.put("order cancel!", "z")  # the miss was used up
    cache.flush()
    assert len(cache.labels()) == 2


def test_shadow_labels_survive_a_restart(make, tmp_path, caplog):
    """They are in the record without texts; a cache that serves keeps none there."""

    def ask(cache):
        for question in ("cancel order", "order cancel!"):
            cache.get(question)
            cache.put(question, "x")
        cache.close()

    ask(make(path=tmp_path / "shadow", shadow=True))
    again = make(path=tmp_path / "shadow", shadow=True)
    [label] = again.labels()
    assert (label.question, label.correct) == ("", True)
    assert label.score > 0.9
    [name] = [again._learning._kept_as]
    assert "cancel" not in again._parts.store.meta(name)
    again._parts.store.set_meta(name, "[[1]]")
    again.close()
    assert make(path=tmp_path / "shadow", shadow=True).labels() == ()
    assert "labels in the record are unreadable" in caplog.text
    ask(make(path=tmp_path / "serving", threshold=1.0))
    assert make(path=tmp_path / "serving", shadow=True).labels() == ()


def test_misses_that_nothing_follows_are_forgotten(make):
    """Their number is bounded, and one of another `exact` is another prompt's."""
    cache = make(shadow=True)
    for n in range(300):
        cache.get(f"cancel order {n}")
    assert len(cache.misses._newest) == 256
    assert cache.misses.take(cache.prompt("json", "shop", "cancel order 299")) is None
    assert cache.misses.take(cache.prompt("json", None, "cancel order 299")) is not None
    assert cache.misses.take(cache.prompt("json", None, "cancel order 299")) is None


@pytest.mark.parametrize("question", [5, None, b"cancel"])
async def test_a_question_is_a_text(cache, question):
    """Anything else is refused by name, in every method that takes a question."""
    for call in (cache.get, cache.explain, lambda given: cache.put(given, "x")):
        with pytest.raises(ConfigError, match=r"question: .* was given; give a str"):
            call(question)
    with pytest.raises(ConfigError, match="question"):
        await cache.aget(question)
    with pytest.raises(ConfigError, match="question"):
        await cache.aput(question, "x")


def test_a_budget_is_certified_by_hand():
    """With `get` and `put` alone a budget learns until rephrasings are served."""
    with SemanticCache(embedder=WordEmbedder(), evaluator=Approve(), max_false_hit_rate=0.3) as c:
        for n in range(400):
            if c.get(f"cancel order {n}") is None:
                c.put(f"cancel order {n}", "x")
        c.flush()
        assert str(c.stats().budget).startswith("certified")


def test_stats_add_up(cache):
    """Hits by kind, misses by reason, tokens and latencies."""
    cache.get("refund")
    cache.put("refund", "14 days", tokens=30)
    cache.get("refund")
    cache.get("my refund")
    stats = cache.stats()
    assert (stats.lookups, stats.hits, stats.exact_hits, stats.semantic_hits) == (3, 2, 1, 1)
    assert stats.misses == {"no candidate": 1}
    assert stats.tokens_saved == 60
    assert stats.hit_rate == pytest.approx(2 / 3)
    assert (stats.stored, stats.entries) == (1, 1)
    assert stats.latency["embed"].count == 2  # the `put` took the vector of the `get` before it
    assert stats.latency["semantic hit"].p50 <= stats.latency["semantic hit"].p99


@pytest.mark.parametrize(
    "how", [{}, {"max_false_hit_rate": 0.1, "threshold": None}], ids=["plain", "learning"]
)
def test_closing_twice_is_one_closing(make, how):
    """And a with block closes."""
    with make(**how) as cache:
        cache.put("refund", "x")
    cache.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k"),
        ({"namespace": 5}, "namespace"),
        ({"threshold": 1.5}, "threshold"),
        ({"embedder": 5}, "embedder"),
    ],
)
def test_a_wrong_argument_is_named(make, arguments, message):
    """At construction, and nothing is opened."""
    with pytest.raises(ConfigError, match=message):
        make(**arguments)


def test_an_answer_survives_a_restart(make, tmp_path):
    """A cache on disk is found again."""
    make(tmp_path / "c").put("refund", "14 days")
    again = make(tmp_path / "c")
    assert again.get("refund") == again.get("my refund") == "14 days"


async def test_lookups_interleave_without_mixing(make):
    """Tasks that run at once get their own answers."""
    cache = make()
    for word in WORDS:
        await cache.aput(word, word.upper())
    answers = await asyncio.gather(*(cache.aget(f"the {word}") for word in WORDS * 20))
    assert answers == [word.upper() for word in WORDS] * 20
