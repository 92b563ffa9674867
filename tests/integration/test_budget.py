"""A false-hit budget through the facade: refuse, collect labels, certify, serve, remember."""

import random
import zlib

import numpy as np
import pytest

from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.evaluation import calibrate
from semcache_core.evaluators import Cosine
from semcache_core.models import Reason

TOPICS = 40


class TopicEmbedder:
    """Questions "topic 7 in words 3": one direction a topic, and a little of its own a wording."""

    identity = "topics-1"
    dimension = 2 * TOPICS

    def fits(self, text):
        return True

    def embed(self, texts):
        return np.stack([self._one(text) for text in texts])

    async def aembed(self, texts):
        return self.embed(texts)

    def _one(self, text):
        topic = int(text.split()[1])
        own = np.random.default_rng(zlib.crc32(text.encode())).normal(size=self.dimension) * 0.02
        own[topic] += 1
        return (own / np.linalg.norm(own)).astype(np.float32)


def ask(cache, question):
    """One request as an adapter makes it: look up, else answer and store. The answer is right."""
    outcome = cache.find(cache.prompt("json", None, question), JSON)
    right = f"answer {question.split()[1]}"
    if outcome:
        return outcome, outcome.answer == right
    cache.save(outcome.prompt, right, JSON, miss=outcome)
    return outcome, True


def run(cache, questions):
    """Outcomes and whether each was right; labels are learnt after each request."""
    results = []
    for question in questions:
        results.append(ask(cache, question))
        cache._learning.wait()
    return results


def traffic(seed, count):
    """Distinct wordings of a few topics."""
    draw = random.Random(seed)
    return [f"topic {draw.randrange(TOPICS)} in words {seed}-{n}" for n in range(count)]


@pytest.mark.parametrize("policy", ["calibrated", "verified"])
def test_a_budget_serves_nothing_until_it_is_certified(tmp_path, policy):
    """First only labels collect; then hits come, within the budget; a restart remembers."""
    how = {"max_false_hit_rate": 0.05, "policy": policy, "evaluator": Cosine()}
    with SemanticCache(tmp_path / "c", embedder=TopicEmbedder(), **how) as cache:
        first, *_ = run(cache, traffic(1, 60))[-1:]
        assert first[0].reason is Reason.UNCERTIFIED
        explained = cache.explain("topic 1 in words x")
        assert "cannot certify" in explained.outcome.detail
        assert str(explained).count("certified yet") == 1
        late = run(cache, traffic(2, 900))[-200:]
        hits = [right for outcome, right in late if outcome]
        assert len(hits) > 100
        assert all(hits)
    with SemanticCache(tmp_path / "c", embedder=TopicEmbedder(), **how) as cache:
        assert any(outcome for outcome, _ in run(cache, traffic(3, 20)))


def test_exact_repeats_hit_without_a_certificate(tmp_path):
    """The exact tier comes first."""
    with SemanticCache(embedder=TopicEmbedder(), max_false_hit_rate=0.01) as cache:
        ask(cache, "topic 1 in words a")
        assert ask(cache, "topic 1 in words a")[0].reason is Reason.EXACT


@pytest.mark.parametrize("policy", ["calibrated", "verified"])
def test_labels_of_a_learning_shadow_calibrate_what_serves(tmp_path, policy):
    """They have the evaluator's score, not what the policy makes of it; the saved policy serves."""
    how = {"embedder": TopicEmbedder(), "evaluator": Cosine()}
    budget = {"max_false_hit_rate": 0.1, "policy": policy, "shadow": True}
    with SemanticCache(**how, **budget) as cache:
        assert not any(outcome for outcome, _ in run(cache, traffic(4, 400)))
        labels = cache.labels()
    assert len(labels) > 200
    assert all(label.score == pytest.approx(label.similarity) for label in labels)
    found = calibrate(labels, 0.1, fill=1.0, **how)
    with SemanticCache(**how, policy=found.policy()) as cache:
        served = [right for outcome, right in run(cache, traffic(5, 300)) if outcome]
    assert len(served) > 100
    assert all(served)


def test_a_hit_that_is_asked_for_again_becomes_an_exact_repeat(tmp_path):
    """A neighbour's answer serves a question once; the second asking has one of its own."""
    how = {"max_false_hit_rate": 0.05, "evaluator": Cosine()}
    with SemanticCache(tmp_path / "c", embedder=TopicEmbedder(), **how) as cache:
        run(cache, traffic(6, 900))
        wordings = traffic(7, 20)
        hit = next(text for text in wordings if ask(cache, text)[0])
        assert cache.explain(hit).outcome.reason is Reason.EXPLORED
        assert ask(cache, hit)[0].reason is Reason.EXPLORED
        assert ask(cache, hit)[0].reason is Reason.EXACT
