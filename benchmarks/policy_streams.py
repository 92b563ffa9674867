"""Streams of real questions with their true answers, and the cache simulated on them.

`benchmarks/questions.py` names the data and its licences, and keeps the embeddings (MiniLM).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_scores import Scores
from benchmarks.questions import read, vectors
from semcache_core.embedders import make_embedder
from semcache_core.evaluators import RECOMMENDED_FLOOR
from semcache_core.models import Action, Candidate, Decision, Entry, Matrix, Query, Scored
from semcache_core.policies import ThresholdPolicy
from semcache_core.protocols import Learner, Policy, Watchful

FLOOR = 0.5
"""Cosine below which no policy looks at anything."""
DEPTH = 2000
"""So many nearest of each text are kept: enough to find 8 of those that happen to be stored."""
TOP_K = 5
"""How many neighbours a cache looks at, unless its policy wants more."""


class Corpus:
    """Texts, and the nearest of each: found once for all orders of arrival."""

    def __init__(self, texts: list[str], answers: NDArray[np.int64], vectors: Matrix) -> None:
        self.answers = answers
        self.near, self.cosines = _nearest(vectors)
        self.queries = [Query(text, vectors[i]) for i, text in enumerate(texts)]
        self.entries = [
            Entry(str(i), "scope", "", b"answer %d" % answers[i], created=0.0, query=text)
            for i, text in enumerate(texts)
        ]


def _nearest(vectors: Matrix) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float32]]]:
    near, cosines = [], []
    for start in range(0, len(vectors), 512):
        for i, row in enumerate(vectors[start : start + 512] @ vectors.T, start):
            row[i] = -1.0
            found = np.flatnonzero(row >= FLOOR)
            found = found[np.argsort(-row[found], kind="stable")][:DEPTH]
            near.append(found)
            cosines.append(row[found])
    return near, cosines


@dataclass(frozen=True)
class Traffic:
    """Requests: texts, the answer each wants (equal numbers: one answer), vectors."""

    name: str
    texts: list[str]
    answers: NDArray[np.int64]
    vectors: Matrix
    whole: Traffic | None = None
    """What this is a sample of, and which of it."""
    places: NDArray[np.int64] | None = None

    def shuffled(self, seed: int, size: int | None = None) -> Traffic:
        """A sample of `size` requests in a random order of arrival."""
        order = np.random.default_rng(seed).permutation(len(self.texts))[:size]
        return self.take(order)

    def take(self, order: NDArray[np.int64]) -> Traffic:
        texts = [self.texts[i] for i in order]
        whole, places = self.whole or self, order if self.places is None else self.places[order]
        return Traffic(self.name, texts, self.answers[order], self.vectors[order], whole, places)

    def then(self, other: Traffic) -> Traffic:
        """This, and the other's requests behind it; no answer is common to both."""
        answers = np.concatenate([self.answers, other.answers + self.answers.max() + 1])
        both = np.concatenate([self.vectors, other.vectors])
        return Traffic(f"{self.name}, {other.name}", self.texts + other.texts, answers, both)

    def zipf(self, seed: int, size: int, distinct: int) -> Traffic:
        """`size` requests drawn from `distinct` texts with weights 1/rank: mostly exact repeats."""
        random = np.random.default_rng(seed)
        pool = random.permutation(len(self.texts))[:distinct]
        weights = 1.0 / np.arange(1, len(pool) + 1)
        return self.take(random.choice(pool, size, p=weights / weights.sum()))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The place of each request's text in the corpus."""
        return np.arange(len(self.texts)) if self.places is None else self.places

    @cached_property
    def _corpus(self) -> Corpus:
        return Corpus(self.texts, self.answers, self.vectors)

    @property
    def corpus(self) -> Corpus:
        return (self.whole or self)._corpus


@dataclass(frozen=True)
class Outcome:
    """What became of a stream; rates over the whole of it."""

    exact: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    """Semantic hits."""
    wrong: NDArray[np.bool_]

    @property
    def hit_rate(self) -> float:
        """Exact and semantic hits over requests."""
        return float((self.hit | self.exact).mean())

    @property
    def false_hit_rate(self) -> float:
        """Wrong ones among SEMANTIC hits: exact ones are right and would flatter it."""
        return float(self.wrong.sum() / max(1, self.hit.sum()))

    def part(self, start: int, end: int) -> Outcome:
        """Of these requests only."""
        return Outcome(self.exact[start:end], self.hit[start:end], self.wrong[start:end])


def load(name: str) -> Traffic:
    """One of the data sets as traffic, in file order, each text once."""
    wants = _wants(name)
    numbers = {answer: i for i, answer in enumerate(dict.fromkeys(wants.values()))}
    texts = list(wants)
    answers = np.array([numbers[wants[text]] for text in texts])
    return Traffic(name, texts, answers, vectors(make_embedder("all-MiniLM-L6-v2"), texts))


def _wants(name: str) -> dict[str, str]:
    """The answer that each text wants, by name."""
    rows = read(name)
    if "a" in rows[0]:
        return _pairs(rows)
    if "origin" in rows[0]:
        return {row[side]: row["origin"] for row in rows for side in ("similar", "origin")}
    if "rewrite" in rows[0]:
        return {row["rewrite"]: row["rewrite"] for row in rows}
    return _groups(rows)


def _groups(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Same group, same answer; out of scope is not one answer, so each of those stands alone."""
    wants: dict[str, str] = {}
    for i, row in enumerate(rows):
        wants.setdefault(row["text"], f"oos {i}" if row["group"] == "oos" else row["group"])
    return wants


def _pairs(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Texts joined by duplicate pairs want one answer; all that nothing joins are different.

    Half of the texts come from groups of two or more, so that about 39% could be hits.
    """
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        while parent.setdefault(text, text) != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for row in rows:
        a, b = root(row["a"]), root(row["b"])
        if row["label"]:
            parent[a] = b
    members: dict[str, list[str]] = {}
    for text in list(parent):
        members.setdefault(root(text), []).append(text)
    order = np.random.default_rng(0).permutation(list(members))
    groups = [members[str(key)] for key in order]
    several = [group for group in groups if len(group) > 1][:1900]
    single = [group for group in groups if len(group) == 1][: 8000 - sum(map(len, several))]
    return {text: group[0] for group in several + single for text in group}


class Cache:
    """A cache in which some requests of a stream are stored; the others are yet to come."""

    def __init__(self, traffic: Traffic, scores: Scores, stored: int = 0) -> None:
        """The first `stored` requests are in it from the start."""
        self._ids, self._corpus, self._scores = traffic.ids, traffic.corpus, scores
        self._stored = np.zeros(len(self._corpus.entries), bool)
        self._stored[self._ids[:stored]] = True

    def query(self, i: int) -> Query:
        return self._corpus.queries[self._ids[i]]

    def look(self, i: int, policy: Policy) -> list[Scored]:
        """The nearest stored ones for the i'th request, as a lookup hands them to its policy."""
        at = self._ids[i]
        near, cosines = self._corpus.near[at], self._corpus.cosines[at]
        found = np.flatnonzero(self._stored[near])[: looked_at(policy)]
        entries = self._corpus.entries
        candidates = [
            Candidate(entries[near[j]], float(cosines[j]))
            for j in found
            if cosines[j] >= policy.floor
        ]
        return self._scores(self.query(i), candidates) if candidates else []

    def store(self, i: int) -> None:
        self._stored[self._ids[i]] = True

    def right(self, best: Scored, i: int) -> bool:
        """Whether a candidate's answer is what the i'th request wants."""
        answers = self._corpus.answers
        return bool(answers[int(best.candidate.entry.key)] == answers[self._ids[i]])


def looked_at(policy: Policy) -> int:
    """As `semcache_core.assembly` has it."""
    return max(TOP_K, getattr(policy, "neighbours", 1))


def shadow_labels(traffic: Traffic, scores: Scores) -> tuple[list[float], list[float], list[bool]]:
    """Cosine, score and label of each request's best: nothing served, everything stored."""
    cache, seen = Cache(traffic, scores), ThresholdPolicy(1.0, RECOMMENDED_FLOOR)
    rows: list[tuple[float, float, bool]] = []
    for i in range(len(traffic.texts)):
        best = next(iter(cache.look(i, seen)), None)
        if best is not None:
            rows.append((best.candidate.similarity, best.value, cache.right(best, i)))
        cache.store(i)
    cosines, values, right = zip(*rows, strict=True) if rows else ((), (), ())
    return list(cosines), list(values), list(right)


def policy_run(
    policy: Policy,
    traffic: Traffic,
    scores: Scores,
    *,
    exact_tier: bool = True,
    insert_if_different: bool = False,
    noise: float = 0.0,
    warm: int = 0,
) -> Outcome:
    """A policy on a stream, from what the first `warm` requests left; of the others, the outcome.

    Labels are the true ones but for a share of `noise`.
    """
    cache, n = Cache(traffic, scores, warm), len(traffic.texts)
    liar = np.random.default_rng(n).random(n) < noise
    known = set(traffic.texts[:warm])
    exact, hit, wrong = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    for i in range(warm, n):
        if exact_tier and traffic.texts[i] in known:
            exact[i] = True
            continue
        query, near = cache.query(i), cache.look(i, policy)
        decision = policy.decide(query, near) if near else NOTHING
        best = next(iter(decision.chosen), None)
        right = best is not None and cache.right(best, i)
        if decision.action is Action.SERVE:
            hit[i], wrong[i] = True, not right
            if isinstance(policy, Watchful) and best is not None:
                policy.served(query, best)
            continue
        if best is not None and isinstance(policy, Learner):
            policy.observe(query, best, right != liar[i])
        known.add(traffic.texts[i])
        if not (right and insert_if_different):
            cache.store(i)
    return Outcome(exact, hit, wrong).part(warm, n)


NOTHING = Decision(Action.REFUSE, "no candidate")


def best_in_hindsight(
    run: Callable[[float], Outcome],
    budget: float,
    thresholds: Sequence[float] = tuple(np.linspace(0.99, 0.6, 24)),
) -> tuple[float, Outcome | None]:
    """The threshold with most hits among those that kept the budget; 0 and None if none did."""
    best: tuple[float, Outcome | None] = (0.0, None)
    for threshold in thresholds:
        outcome = run(threshold)
        kept = outcome.false_hit_rate <= budget and outcome.hit.any()
        if kept and (best[1] is None or outcome.hit_rate > best[1].hit_rate):
            best = threshold, outcome
    return best
