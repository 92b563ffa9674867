"""A whole semantic hit beside its floor (the embedding of the question) and a bare encode.

    python -m benchmarks.semantic_hit [entries] [rounds]

All questions are distinct, so that no memory of recent texts helps; the three are measured in turns
within one run, and what to read is the median of the rounds' ratios.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter

from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.embedders import make_embedder
from semcache_core.embedders._locate import DEFAULT_MODEL, Source
from semcache_core.embedders.sentence_transformers import load
from semcache_core.envelope import seal
from semcache_core.models import Entry, Prompt

VERBS = [
    "cancel",
    "change",
    "pay",
    "track",
    "renew",
    "insure",
    "return",
    "repair",
    "register",
    "transfer",
    "block",
    "export",
]
THINGS = [
    "order",
    "card",
    "invoice",
    "phone",
    "policy",
    "flight",
    "contract",
    "account",
    "parcel",
    "licence",
    "bike",
    "lease",
]
PLACES = [
    "Norway",
    "Chile",
    "Kenya",
    "Japan",
    "Spain",
    "Peru",
    "Egypt",
    "India",
    "Malta",
    "Ghana",
    "Nepal",
    "Qatar",
    "Cuba",
    "Fiji",
    "Laos",
    "Mali",
    "Oman",
    "Togo",
    "Iran",
    "Iraq",
    "Samoa",
    "Tonga",
    "Haiti",
    "Benin",
    "Gabon",
    "Yemen",
    "Syria",
    "Libya",
    "Niger",
    "Palau",
    "Nauru",
    "Sudan",
    "Angola",
    "Belize",
    "Bhutan",
    "Brazil",
    "Brunei",
    "Canada",
    "Cyprus",
    "France",
    "Gambia",
    "Greece",
    "Guinea",
    "Guyana",
    "Israel",
    "Jordan",
    "Kuwait",
    "Latvia",
    "Malawi",
    "Mexico",
    "Monaco",
    "Panama",
    "Poland",
    "Russia",
    "Rwanda",
    "Serbia",
    "Sweden",
    "Taiwan",
    "Turkey",
    "Uganda",
    "Zambia",
    "Albania",
    "Algeria",
    "Andorra",
    "Armenia",
    "Austria",
    "Bahamas",
    "Belarus",
    "Belgium",
]


def stored(count: int) -> list[str]:
    """Distinct questions that differ in what is done, to what, where and how."""
    every = list(itertools.product(VERBS, THINGS, PLACES, ("", " online")))
    picked = random.Random(0).sample(every, count)  # a benchmark's sample
    return [f"How do I {verb} my {thing} in {place}{how}?" for verb, thing, place, how in picked]


def filled(count: int) -> tuple[SemanticCache, list[str]]:
    """A cache in memory that holds `count` answered questions of one scope."""
    cache = SemanticCache()
    questions = stored(count)
    vectors = make_embedder(None).embed(questions)
    prompts = [cache.prompt(JSON.name, None, question) for question in questions]
    cache._parts.store.put(
        [
            Entry(p.key, p.scope, "", seal("json", b'"yes"'), 0.0, query=p.query, vector=v)
            for p, v in zip(prompts, vectors, strict=True)
        ]
    )
    return cache, questions


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    started = perf_counter()
    call()
    return (perf_counter() - started) * 1e3


def _look(cache: SemanticCache, prompt: Prompt, outcome: list[object]) -> None:
    outcome.append(cache.find(prompt, JSON))


def measure(entries: int, rounds: int) -> dict[str, float]:
    """Medians in milliseconds, and the medians of the ratios."""
    cache, questions = filled(entries)
    bare = make_embedder(None)
    encode = load(Source(DEFAULT_MODEL).folder.path, "cpu").encode
    hits, rows = 0, []
    for question in questions[: rounds + 20]:
        asked = question.replace("How do I", "How can I")
        prompt = cache.prompt(JSON.name, None, asked)
        outcome: list[object] = []
        texts = [asked.replace("can I", other) for other in ("could I", "may I")]
        hit = timed(partial(_look, cache, prompt, outcome))
        floor = timed(partial(bare.embed, texts[:1]))
        rows.append((hit, floor, timed(partial(encode, texts[1], show_progress_bar=False))))
        hits += bool(outcome[0])
    rows = rows[20:]
    return {
        "entries": entries,
        "hit rate": hits / (rounds + 20),
        "hit ms": statistics.median(r[0] for r in rows),
        "embedding ms": statistics.median(r[1] for r in rows),
        "bare encode ms": statistics.median(r[2] for r in rows),
        "hit / embedding": statistics.median(r[0] / r[1] for r in rows),
        "hit / bare encode": statistics.median(r[0] / r[2] for r in rows),
    }


if __name__ == "__main__":
    sizes = [int(arg) for arg in sys.argv[1:]]
    print(json.dumps(measure(*(sizes + [10_000, 200][len(sizes) :])), indent=2))
