"""How right hits are: cosine alone, with guards, with the verifier, and the default, side by side.

    SEMCACHE_DATA=... python -m benchmarks.quality [--pairs 6000] [--stream 8000]

Pairs: recall at precision .95 by a sweep of the threshold, and precision and recall at the stack's
own threshold. Streams: every question looks among the five nearest of those before it; counted are
hits on texts that an exact match does not find already. One table a data set; no average.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.questions import (
    Lookup,
    Pairs,
    Stream,
    candidate,
    cosines,
    labelled,
    mock,
    same_group,
    stream,
)
from benchmarks.rates import Share, ranked
from semcache_core.embedders import make_embedder
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


def stacks(embedder: Embedder) -> list[Stack]:
    """What is compared."""
    cosine = [Stack(f"cosine {t}", Cosine(), t) for t in (0.8, 0.85, 0.9, 0.95)]
    return [
        *cosine,
        Stack("guards, cosine .85", guarded(Guards(), Cosine()), 0.85),
        Stack("strict, cosine .85", guarded(Guards("strict"), Cosine()), 0.85),
        Stack("verifier alone", Verifier(), RECOMMENDED_THRESHOLD, RECOMMENDED_FLOOR),
        Stack("default", default_evaluator(embedder), RECOMMENDED_THRESHOLD, RECOMMENDED_FLOOR),
        Stack("default at .85", default_evaluator(embedder), 0.85, RECOMMENDED_FLOOR),
    ]


def on_pairs(embedder: Embedder, pairs: Pairs, all_stacks: list[Stack]) -> None:
    """One table of one data set of pairs."""
    right = sum(label for _, _, label in pairs.rows)
    print(f"\n## {pairs.name}: {right} matches, {len(pairs.rows) - right} others")
    print(f"{'':20} {'AUC':>5} {'R@.95':>6}  {'precision':22} {'kept':22} {'rejected':22}")
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
    order = ranked(labels, scores)
    print(
        f"{name:20} {order.area:5.3f} {order.recall:6.3f}  {Share(true, sum(hits))!s:22}"
        f" {Share(true, sum(labels))!s:22}"
        f" {Share(len(labels) - sum(labels) - wrong, len(labels) - sum(labels))!s:22}"
    )


def on_stream(source: Stream, all_stacks: list[Stack]) -> None:
    """One table of one stream."""
    print(
        f"\n## {source.name}: {source.asked} questions; an oracle hits"
        f" {Share(source.answerable, source.asked)}"
    )
    print(f"{'':20} {'hits':>6}  {'hit rate':22} {'precision':22} {'false-hit rate':22} of oracle")
    for stack in all_stacks:
        served = [stack.accepts(lookup.query, lookup.near) for lookup in source.lookups]
        right = sum(
            lookup.right[lookup.near.index(one)]
            for lookup, one in zip(source.lookups, served, strict=True)
            if one is not None
        )
        hits = sum(one is not None for one in served)
        print(
            f"{stack.name:20} {hits:6}  {Share(hits, source.asked)!s:22} {Share(right, hits)!s:22}"
            f" {Share(hits - right, hits)!s:22} {right / max(1, source.answerable):.2f}"
        )


def by_kind(embedder: Embedder, pairs: Pairs, all_stacks: list[Stack]) -> None:
    """The share served of each kind of trap (should be 0) and of paraphrase (should be 1)."""
    kinds = sorted(
        {(-label, kind) for (_, _, label), kind in zip(pairs.rows, pairs.kinds, strict=True)}
    )
    similarities = cosines(embedder, pairs)
    print(f"\n## {pairs.name}: served, by kind")
    for label, kind in kinds:
        rows = [i for i, k in enumerate(pairs.kinds) if k == kind and pairs.rows[i][2] == -label]
        line = [
            f"{stack.name} {Share(_served(stack, pairs, similarities, rows), len(rows)).value:.2f}"
            for stack in all_stacks
        ]
        print(f"{'same' if label else 'differs':8} {kind:22} n={len(rows):<3} {'  '.join(line)}")


def _served(stack: Stack, pairs: Pairs, similarities: list[float], rows: list[int]) -> int:
    return sum(
        stack.accepts(
            Query(pairs.rows[i][0], UNSEEN), [candidate(pairs.rows[i][1], similarities[i])]
        )
        is not None
        for i in rows
    )


def cost(embedder: Embedder, source: Stream) -> None:
    """Milliseconds for five candidates: all texts known, and a query not seen before."""
    evaluator = default_evaluator(embedder)
    full = [lookup for lookup in source.lookups if len(lookup.near) == 5][-300:]
    timed(evaluator, full, "first run")
    warm = timed(evaluator, full, "all texts known")
    fresh = [
        (Query(f"{lookup.query.text} {n}", lookup.query.vector), lookup.near)
        for n, lookup in enumerate(full)
    ]
    new = sorted(_milliseconds(lambda q=q, c=c: evaluator.score(q, c)) for q, c in fresh)
    print(f"new query: median {new[len(new) // 2]:.3f} ms; all known {warm:.3f} ms")


def timed(evaluator: Evaluator, lookups: Sequence[Lookup], name: str) -> float:
    """Median milliseconds a lookup; prints it with the 95th percentile."""
    took = sorted(
        _milliseconds(lambda one=one: evaluator.score(one.query, one.near)) for one in lookups
    )
    print(f"{name}: median {took[len(took) // 2]:.3f}, p95 {took[int(len(took) * 0.95)]:.3f} ms")
    return took[len(took) // 2]


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1_000


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6_000, help="pairs of each large data set")
    parser.add_argument("--stream", type=int, default=8_000, help="questions of each stream")
    size = parser.parse_args()
    embedder = make_embedder()
    compared = stacks(embedder)
    print(f"{embedder.identity}; 95% intervals by Wilson; QQP's labels are noisy")
    traps = labelled("kmemo_tuned", "kmemo (typed traps)")
    streams = [
        stream(embedder, "snips_4_intents", "snips, strict slots", size.stream),
        stream(embedder, "nlupp_banking", "nlu++ banking, strict slots and intents", size.stream),
    ]
    for pairs in (
        traps,
        labelled("qqp_pairs", "qqp", size.pairs),
        labelled("paws_en_half", "paws"),
        mock(embedder),
        same_group(embedder, "banking77_train", "banking77, same intent", 2_000),
        same_group(embedder, "clinc150_train", "clinc150, same intent", 2_000),
    ):
        if pairs.rows:
            on_pairs(embedder, pairs, compared)
    by_kind(embedder, traps, [compared[1], compared[4], compared[7]])
    for source in streams:
        on_stream(source, compared)
    print("\n## Cost of the default for five candidates")
    cost(embedder, streams[0])


if __name__ == "__main__":
    main()
