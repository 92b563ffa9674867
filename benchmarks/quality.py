"""How right hits are: cosine alone, with guards, with the verifier, and the default, side by side.

    SEMCACHE_DATA=... python -m benchmarks.quality [--pairs 6000] [--stream 8000] [--no-peer]

Pairs: recall at precision .95 by a sweep of the threshold, and precision and recall at the stack's
own threshold. Streams: every question looks among the five nearest of those before it; counted are
hits on texts that an exact match does not find already. One table a data set; no average.
GPTCache's evaluations, at its default threshold, run in an environment that the script makes.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gptcache_evaluations import NAMES, THRESHOLD, GPTCache, Theirs, started
from benchmarks.harness_envs import ROOT
from benchmarks.questions import (
    Pairs,
    Stream,
    candidate,
    cosines,
    labelled,
    mock,
    same_group,
    stream,
)
from benchmarks.rates import ranked
from benchmarks.train_verifier import harder_traps, own_traps
from semcache_core.embedders import make_embedder
from semcache_core.evaluation import Share
from semcache_core.evaluators import (
    RECOMMENDED_FLOOR,
    RECOMMENDED_THRESHOLD,
    Cosine,
    Guards,
    Verifier,
    default_evaluator,
    evaluate,
    guarded,
)
from semcache_core.models import Candidate, Query
from semcache_core.protocols import Embedder, Evaluator

UNSEEN = np.zeros(1, np.float32)
"""A vector: the evaluators compared here look at similarities only."""


@dataclass(frozen=True)
class Stack:
    """An evaluator and the threshold it is used at."""

    name: str
    evaluator: Evaluator
    threshold: float
    floor: float = 0.0

    def accepts(self, query: Query, near: Sequence[Candidate]) -> Candidate | None:
        """The candidate that would be served."""
        allowed = [one for one in near if one.similarity >= self.floor]
        scored = evaluate(self.evaluator, query, allowed)
        best = scored[0] if scored and not scored[0].score.rejected else None
        return best.candidate if best and best.value >= self.threshold else None

    def score(self, query: Query, one: Candidate) -> float:
        """The score of a pair; minus infinity for a rejected one."""
        score = self.evaluator.score(query, [one])[0]
        return -math.inf if score.rejected else score.value


def stacks(embedder: Embedder, peer: GPTCache | None) -> list[Stack]:
    """What is compared."""
    cosine = [Stack(f"cosine {t}", Cosine(), t) for t in (0.8, 0.85, 0.9, 0.95)]
    names = NAMES if peer is not None else ()
    theirs = [Stack(f"GPTCache, {n}", Theirs(peer, n), THRESHOLD) for n in names if peer]
    return [
        *cosine,
        *theirs,
        Stack("guards, cosine .85", guarded(Guards(), Cosine()), 0.85),
        Stack("strict, cosine .85", guarded(Guards("strict"), Cosine()), 0.85),
        Stack("verifier alone", Verifier(), RECOMMENDED_THRESHOLD, RECOMMENDED_FLOOR),
        Stack("**default**", default_evaluator(embedder), RECOMMENDED_THRESHOLD, RECOMMENDED_FLOOR),
        Stack("default at .8", default_evaluator(embedder), 0.8, RECOMMENDED_FLOOR),
    ]


def on_pairs(embedder: Embedder, pairs: Pairs, all_stacks: list[Stack]) -> None:
    """One table of one data set of pairs."""
    right = sum(label for _, _, label in pairs.rows)
    print(f"\n### {pairs.name}: {right} matches, {len(pairs.rows) - right} others\n")
    print("| | AUC | recall at precision .95 | precision | matches served | others refused |")
    print("|---|---|---|---|---|---|")
    similarities = cosines(embedder, pairs)
    asked = [Query(a, UNSEEN) for a, _, _ in pairs.rows]
    near = [candidate(b, s) for (_, b, _), s in zip(pairs.rows, similarities, strict=True)]
    labels = [label for _, _, label in pairs.rows]
    for stack in all_stacks:
        scores = [stack.score(q, one) for q, one in zip(asked, near, strict=True)]
        hits = [
            score >= stack.threshold and one.similarity >= stack.floor
            for score, one in zip(scores, near, strict=True)
        ]
        _pair_row(stack.name, labels, scores, hits)


def _pair_row(name: str, labels: list[int], scores: list[float], hits: list[bool]) -> None:
    true = sum(hit and label for hit, label in zip(hits, labels, strict=True))
    wrong = sum(hits) - true
    order, others = ranked(labels, scores), len(labels) - sum(labels)
    print(
        f"| {name} | {order.area:.3f} | {order.recall:.3f} | {Share(true, sum(hits))}"
        f" | {Share(true, sum(labels))} | {Share(others - wrong, others)} |"
    )


def on_stream(source: Stream, all_stacks: list[Stack]) -> None:
    """One table of one stream."""
    oracle = Share(source.answerable, source.asked)
    print(f"\n### {source.name}: {source.asked} questions; an oracle hits {oracle}\n")
    print("| | hits | precision | share of the oracle's hits |")
    print("|---|---|---|---|")
    for stack in all_stacks:
        served = [stack.accepts(lookup.query, lookup.near) for lookup in source.lookups]
        right = sum(
            lookup.right[lookup.near.index(one)]
            for lookup, one in zip(source.lookups, served, strict=True)
            if one is not None
        )
        hits = sum(one is not None for one in served)
        share = Share(right, source.answerable)
        print(f"| {stack.name} | {hits} | {Share(right, hits)} | {share} |")


def by_kind(embedder: Embedder, pairs: Pairs, stack: Stack) -> None:
    """The share served of each kind of trap (should be 0) and of paraphrase (should be 1)."""
    kinds = sorted(
        {(-label, kind) for (_, _, label), kind in zip(pairs.rows, pairs.kinds, strict=True)}
    )
    similarities = cosines(embedder, pairs)
    print(
        f"\n### {pairs.name}: served by the default, by kind\n\n| | kind | served |\n|---|---|---|"
    )
    for label, kind in kinds:
        rows = [i for i, k in enumerate(pairs.kinds) if k == kind and pairs.rows[i][2] == -label]
        share = Share(_served(stack, pairs, similarities, rows), len(rows))
        print(f"| {'same' if label else 'differs'} | {kind} | {share} |")


def _served(stack: Stack, pairs: Pairs, similarities: list[float], rows: list[int]) -> int:
    return sum(
        stack.accepts(
            Query(pairs.rows[i][0], UNSEEN), [candidate(pairs.rows[i][1], similarities[i])]
        )
        is not None
        for i in rows
    )


def guards_alone(embedder: Embedder, pairs: Pairs, above: float = 0.85) -> None:
    """Of the candidates above a cosine, what the guards refuse of each label."""
    guards = Guards()
    refused, counted = [0, 0], [0, 0]
    for (a, b, label), cosine in zip(pairs.rows, cosines(embedder, pairs), strict=True):
        if cosine >= above:
            counted[label] += 1
            refused[label] += bool(guards.reason(a, b))
    near = Share(refused[0], counted[0])
    kept = Share(counted[1] - refused[1], counted[1])
    print(f"| {pairs.name} | {near} | {kept} |")


def cost(embedder: Embedder, source: Stream) -> None:
    """Milliseconds for five candidates: all texts known, and a query not seen before."""
    evaluator = default_evaluator(embedder)
    full = [lookup for lookup in source.lookups if len(lookup.near) == 5][-300:]
    known = [(lookup.query, lookup.near) for lookup in full]
    unseen = [(Query(f"so {query.text} maybe", query.vector), near) for query, near in known]
    print("\n### Cost of the default for five candidates\n\n| | median | p95 |\n|---|---|---|")
    timed(evaluator, known, "")
    timed(evaluator, known, "texts known")
    timed(evaluator, unseen, "query not seen before")


def timed(
    evaluator: Evaluator, asked: Sequence[tuple[Query, Sequence[Candidate]]], name: str
) -> None:
    """A row of milliseconds of this thread's processor time; without a name it warms up."""
    took = []
    for query, near in asked:
        start = time.thread_time()
        evaluator.score(query, near)
        took.append((time.thread_time() - start) * 1_000)
    took.sort()
    if name:
        print(f"| {name} | {took[len(took) // 2]:.3f} ms | {took[int(len(took) * 0.95)]:.3f} ms |")


def data_sets(embedder: Embedder, pairs: int) -> list[Pairs]:
    """All pairs; of those that were learnt from, `own_traps` takes the other half."""
    found = [
        labelled("kmemo_tuned", "Kmemo, typed traps (the verifier was trained on them too)"),
        own_traps(learnt=False),
        harder_traps(learnt=False),
        labelled("qqp_pairs", "QQP", pairs),
        labelled("paws_en_half", "PAWS-X English"),
        mock(embedder),
        same_group(embedder, "banking77_train", "BANKING77, same intent", 2_000),
        same_group(embedder, "clinc150_train", "CLINC150, same intent", 2_000),
    ]
    return [pairs for pairs in found if pairs.rows]


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6_000, help="pairs of each large data set")
    parser.add_argument("--stream", type=int, default=8_000, help="questions of each stream")
    parser.add_argument("--home", type=Path, default=ROOT / ".bench", help="peers' environments")
    parser.add_argument("--no-peer", action="store_true", help="leave GPTCache out")
    options = parser.parse_args()
    embedder = make_embedder()
    peer = None if options.no_peer else started(options.home)
    compared = stacks(embedder, peer)
    print(f"{embedder.identity}; 95% intervals by Wilson; QQP's labels are noisy")
    sets = data_sets(embedder, options.pairs)
    for pairs in sets:
        on_pairs(embedder, pairs, compared)
    default = next(stack for stack in compared if stack.name == "**default**")
    for traps in sets[:3]:
        by_kind(embedder, traps, default)
    print("\n### Guards alone, of candidates at cosine .85 and above\n")
    print("| | near misses refused | paraphrases kept |\n|---|---|---|")
    for traps in sets[:3]:
        guards_alone(embedder, traps)
    streams = [
        stream(embedder, "snips_4_intents", "SNIPS, strict slots", options.stream),
        stream(embedder, "nlupp_banking", "NLU++ banking, strict", options.stream),
    ]
    for source in streams:
        on_stream(source, compared)
    cost(embedder, streams[0])
    if peer is not None:
        peer.close()


if __name__ == "__main__":
    main()
