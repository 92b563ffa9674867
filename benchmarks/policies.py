"""Whether the policies keep the false-hit rate, and what that costs in hits.

`python -m benchmarks.policies splits NAME...`: each stream is shuffled and halved; its first half
arrives as shadow traffic (nothing served, everything stored) and is calibrated on; its second
half then runs at the certified threshold, into the cache that the first half left and into an
empty one. `python -m benchmarks.policies online NAME...`: whole streams of 8,000 requests from
empty, learning as they go; beside them vCache's published rule, and the static threshold that
would have hit most within the budget, chosen in hindsight. NAME is a data set, or a data set and
"+zipf" (80% exact repeats). `python -m benchmarks.policies drift NAME NAME`: the second data set's
traffic follows the first's. False-hit rates are those of semantic hits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.policy_scores import Scores, scores
from benchmarks.policy_streams import (
    Outcome,
    Traffic,
    best_in_hindsight,
    load,
    policy_run,
    shadow_labels,
    threshold_run,
)
from benchmarks.published_rule import PublishedRule
from semcache_core.policies import CalibratedPolicy, ThresholdPolicy, VerifiedPolicy, calibrate
from semcache_core.protocols import Policy

BUDGETS = (0.05, 0.01)
SIZE = 8000
app = typer.Typer(add_completion=False)


@dataclass
class Tally:
    """What many runs of one kind came to."""

    runs: int = 0
    serving: int = 0
    violations: int = 0
    hits: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome | None, budget: float) -> None:
        self.runs += 1
        if outcome is None or not outcome.hit.any():
            self.hits.append(0.0 if outcome is None else outcome.hit_rate)
            return
        self.serving += 1
        self.violations += outcome.false_hit_rate > budget
        self.hits.append(outcome.hit_rate)
        self.false.append(outcome.false_hit_rate)

    def merge(self, other: Tally) -> None:
        self.runs += other.runs
        self.serving += other.serving
        self.violations += other.violations
        self.hits += other.hits
        self.false += other.false

    def __str__(self) -> str:
        worst = max(self.false, default=0.0)
        return (
            f"over budget {self.violations:3d} of {self.runs:3d}, serving {self.serving:3d}, "
            f"hit rate {np.mean(self.hits or [0]):6.1%}, "
            f"false {np.mean(self.false or [0]):6.2%} (worst {worst:6.2%})"
        )


@app.command()
def splits(
    names: list[str],
    count: int = 100,
    size: int = SIZE,
    hindsight: int = 5,
    evaluator: str = "default",
) -> None:
    """Calibrate on one half, run on the other."""
    pooled: dict[tuple[float, str], Tally] = {}
    judged = scores(evaluator)
    for name in names:
        traffic = load(name)
        tallies: dict[tuple[float, str], Tally] = {}
        for seed in range(count):
            _split(traffic.shuffled(seed, size), judged, seed < hindsight, tallies)
        for (budget, what), tally in sorted(tallies.items()):
            print(f"{name:16} {budget:.2f} {what:22} {tally}", flush=True)
            pooled.setdefault((budget, what), Tally()).merge(tally)
    for (budget, what), tally in sorted(pooled.items()):
        most = allowed(tally.runs)
        print(f"{'all streams':16} {budget:.2f} {what:22} {tally}; 95% confidence allows {most}")


def _split(
    traffic: Traffic,
    judged: Scores,
    hindsight: bool,
    tallies: dict[tuple[float, str], Tally],
) -> None:
    half = len(traffic.texts) // 2
    order = np.arange(len(traffic.texts))
    first, second = traffic.take(order[:half]), traffic.take(order[half:])
    values, labels = shadow_labels(first, judged)
    ways: dict[str, Callable[[float], Outcome]] = {
        "continuing": cache(lambda t: threshold_run(traffic, judged, t, half)),
        "from empty": cache(lambda t: threshold_run(second, judged, t)),
    }
    for budget in BUDGETS:
        threshold = calibrate(values, labels, budget).threshold
        for way, run in ways.items():
            outcome = None if threshold is None else run(threshold)
            tallies.setdefault((budget, way), Tally()).add(outcome, budget)
            if hindsight:
                best = best_in_hindsight(run, budget)[1]
                tallies.setdefault((budget, f"{way}, hindsight"), Tally()).add(best, budget)


@app.command()
def online(
    names: list[str],
    seeds: int = 20,
    compare: int = 5,
    size: int = SIZE,
    evaluator: str = "default",
    noise: float = 0.0,
) -> None:
    """Learn while serving; `noise` is the share of labels that are wrong."""
    judged = scores(evaluator)
    for name in names:
        source = load(name.removesuffix("+zipf"))
        tallies: dict[tuple[float, str], Tally] = {}
        for seed in range(seeds):
            zipf = name.endswith("+zipf")
            traffic = source.zipf(seed, size, size // 4) if zipf else source.shuffled(seed, size)
            _online(Stream(traffic, judged, seed, noise), seed < compare, tallies)
        for (budget, what), tally in sorted(tallies.items()):
            print(f"{name:20} {budget:.2f} {what:22} {tally}", flush=True)


@dataclass(frozen=True)
class Stream:
    """One run's traffic, and how it is looked at."""

    traffic: Traffic
    judged: Scores
    seed: int
    noise: float

    def run(self, policy: Policy, **how: bool) -> Outcome:
        return policy_run(policy, self.traffic, self.judged, noise=self.noise, **how)


def _online(stream: Stream, compare: bool, tallies: dict[tuple[float, str], Tally]) -> None:
    for budget in BUDGETS:
        verified = stream.run(VerifiedPolicy(budget, seed=stream.seed))
        outcomes: dict[str, Outcome | None] = {"verified": verified}
        if compare:
            outcomes |= _compared(stream, budget, verified)
        for what, outcome in outcomes.items():
            tallies.setdefault((budget, what), Tally()).add(outcome, budget)


def _compared(stream: Stream, budget: float, verified: Outcome) -> dict[str, Outcome | None]:
    @cache
    def static(threshold: float) -> Outcome:
        return stream.run(ThresholdPolicy(threshold))

    exact = _repeats(stream.traffic.texts)
    none = np.zeros(len(exact), bool)
    return {
        "calibrated": stream.run(CalibratedPolicy(budget, seed=stream.seed)),
        "vCache published": stream.run(
            PublishedRule(budget, stream.seed), exact_tier=False, insert_if_different=True
        ),
        "static, hindsight": best_in_hindsight(static, budget)[1],
        "static, same false": best_in_hindsight(static, max(verified.false_hit_rate, 1e-9))[1],
        "exact tier alone": Outcome(exact, none, none),
    }


@app.command()
def drift(
    before: str, after: str, seeds: int = 5, size: int = SIZE, evaluator: str = "cosine"
) -> None:
    """Other traffic from the middle of the stream on; at a budget of 5%."""
    judged, budget, middle = scores(evaluator), BUDGETS[0], size // 2
    first, second = load(before), load(after)
    for seed, kind in product(range(seeds), (VerifiedPolicy, CalibratedPolicy)):
        policy = kind(budget, seed=seed)
        stream = first.shuffled(seed, middle).then(second.shuffled(seed, middle))
        outcome = policy_run(policy, stream, judged)
        old, new = outcome.part(0, middle), outcome.part(middle, size)
        print(
            f"{before} then {after}, {policy.name}: before {old.hit_rate:.1%} hits, "
            f"{old.false_hit_rate:.2%} false; after {new.hit.sum()} hits, {new.wrong.sum()} false; "
            f"in all {outcome.false_hit_rate:.2%}; alarms {policy.alarms}",
            flush=True,
        )


def _repeats(texts: list[str]) -> NDArray[np.bool_]:
    first: dict[str, int] = {}
    return np.array([first.setdefault(text, i) < i for i, text in enumerate(texts)])


def allowed(runs: int, rate: float = 0.05, level: float = 0.05) -> int:
    """The most violations of `runs` that a true rate of `rate` still explains at `level`."""
    tail, k = 1.0, -1
    while tail > level:
        k += 1
        tail -= math.comb(runs, k) * rate**k * (1 - rate) ** (runs - k)
    return k


if __name__ == "__main__":
    app()
