"""A budget from an empty cache to serving, through both frameworks, with real embeddings."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from langchain_core.messages import AIMessage
from langchain_models import Counting
from llamaindex_models import Provider, last_text

import langchain_semcache
import llamaindex_semcache
from semcache_core.errors import IncompatibleError
from semcache_core.evaluation import calibrate
from semcache_core.evaluators import Cosine

pytestmark = pytest.mark.slow

ANSWERS = {
    "Peru": "Lima", "Kenya": "Nairobi", "Norway": "Oslo", "Japan": "Tokyo", "Cuba": "Havana",
    "Egypt": "Cairo", "Greece": "Athens", "Chile": "Santiago", "Nepal": "Kathmandu",
    "Ghana": "Accra", "Poland": "Warsaw", "Iran": "Tehran",
}  # fmt: skip
WORDINGS = (
    "What is the capital of {}?", "Which city is the capital of {}?", "Name the capital of {}.",
    "{}: what is its capital?", "Tell me the capital city of {}", "the capital of {}, please",
    "What's {}'s capital city?", "Do you know the capital of {}?",
)  # fmt: skip
OPENINGS = ("", "Hi! ", "Quick question: ", "For a quiz: ", "Hello there. ", "One more: ")


def questions(seed):
    """Every wording of every question, in some order."""
    every = itertools.product(ANSWERS, WORDINGS, OPENINGS)
    made = [opening + wording.format(country) for country, wording, opening in every]
    random.Random(seed).shuffle(made)
    return made


def right(question):
    """The answer that a question wants."""
    return next(answer for country, answer in ANSWERS.items() if re.search(country, question))


def in_langchain(cache):
    """A function from a question to an answer, through LangChain's twin of a chat model."""
    model = Counting(reply=lambda n, messages: AIMessage(right(messages[-1].text)))
    twin = langchain_semcache.cached(model, cache)
    return lambda question: twin.invoke(question).text


def in_llamaindex(cache):
    """The same through LlamaIndex's twin of OpenAI's class."""
    provider = Provider(lambda body: right(last_text(body)))
    twin = llamaindex_semcache.cached(provider.openai(), cache)
    return lambda question: twin.complete(question).text


FRAMEWORKS = {
    "langchain": (langchain_semcache.SemanticCache, "embedding", in_langchain),
    "llamaindex": (llamaindex_semcache.SemanticCache, "embed_model", in_llamaindex),
}


def asked(cache, ask, traffic):
    """How many of the answers were wrong."""
    wrong = 0
    for question in traffic:
        wrong += ask(question) != right(question)
        cache._learning.wait()
    return wrong


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_from_empty_through_shadow_to_serving(framework, tmp_path, minilm):
    """Nothing is served while labels collect, and it says what is missing; then hits come."""
    kind, embedder, twin = FRAMEWORKS[framework]
    how = {embedder: minilm, "max_false_hit_rate": 0.1, "policy": "calibrated"}
    traffic = questions(1)
    with kind(tmp_path / "c", shadow=True, **how) as cache:
        ask = twin(cache)
        asked(cache, ask, traffic[:20])
        assert re.search(r"yet: about \d+ more labelled hits needed", cache.stats().budget)
        asked(cache, ask, traffic[20:400])
        assert cache.stats().semantic_hits == 0
        assert cache.stats().budget.startswith("certified 10.0% false hits")
    with kind(tmp_path / "c", **how) as cache:
        wrong = asked(cache, twin(cache), traffic[400:])
        stats = cache.stats()
        assert stats.semantic_hits > 40
        assert wrong <= 0.1 * stats.semantic_hits
        assert stats.misses["explored"] > 0


def test_a_shadow_s_labels_become_a_policy_in_a_file(tmp_path, minilm):
    """Labels of a shadow cache are certified, saved, and named by a configuration that serves."""
    kind = langchain_semcache.SemanticCache
    with kind(embedding=minilm, evaluator=Cosine(), shadow=True) as cache:
        asked(cache, in_langchain(cache), questions(2)[:450])
        found = calibrate(cache.labels(), 0.2, embedder=minilm, evaluator=Cosine(), fill=1.0)
    assert found.calibration.certified
    found.save(tmp_path / "policy.json")
    policy = {"kind": "saved", "file": str(tmp_path / "policy.json")}
    with kind.from_config({"policy": policy, "evaluator": "cosine"}, embedding=minilm) as cache:
        wrong = asked(cache, in_langchain(cache), questions(3)[:300])
        assert cache.stats().semantic_hits > 20
        assert wrong <= 0.2 * cache.stats().semantic_hits
    with pytest.raises(IncompatibleError, match="evaluator"):
        kind.from_config({"policy": policy, "evaluator": "exact"}, embedding=minilm)
