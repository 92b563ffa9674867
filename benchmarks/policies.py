"""Whether the policies keep the false-hit rate, and what that costs in hits.

`python -m benchmarks.policies splits NAME...`: each stream is shuffled and halved; its first half
arrives as shadow traffic (nothing served, everything stored) and is calibrated on; its second
half then runs by the certified policy, into the cache that the first half left and into an
empty one. `python -m benchmarks.policies online NAME...`: whole streams of 8,000 requests from
empty, learning as they go; beside them vCache's published rule, and the static thresholds that
would have hit most within the budget, chosen in hindsight. NAME is a data set, or a data set and
"+zipf" (80% exact repeats). `python -m benchmarks.policies drift NAME NAME`: the second data set's
traffic follows the first's. `python -m benchmarks.policies real NAME`: the same requests through
the simulation and through a `SemanticCache`. False-hit rates are those of semantic hits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

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
)
from benchmarks.published_rule import PublishedRule
from semcache_core.cache import SemanticCache
from semcache_core.codecs import JSON
from semcache_core.evaluation import CertifiedThreshold
from semcache_core.evaluators import RECOMMENDED_FLOOR
from semcache_core.models import Matrix, Reason
from semcache_core.policies import (
    WEIGHTS,
    CalibratedPolicy,
    ThresholdPolicy,
    VerifiedPolicy,
    calibrate_ranked,
)
from semcache_core.protocols import Policy

BUDGETS = (0.05, 0.01)
SIZE = 8000
COSINES = tuple(np.linspace(0.98, 0.66, 17))
SCORES = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.04, 0.02)
"""Thresholds tried in hindsight, on the cosine and on the default evaluator's score."""
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
    labels = shadow_labels(first, judged)
    ways: dict[str, Callable[..., Outcome]] = {
        "continuing": lambda policy, by=judged: policy_run(policy, traffic, by, warm=half),
        "from empty": lambda policy, by=judged: policy_run(policy, second, by),
    }
    for budget in BUDGETS:
        policy = certified(labels, budget)
        for way, run in ways.items():
            outcome = None if policy is None else run(policy)
            tallies.setdefault((budget, way), Tally()).add(outcome, budget)
            if hindsight:
                for what, best in static(run, judged, budget).items():
                    tallies.setdefault((budget, f"{way}, {what}"), Tally()).add(best, budget)


def certified(labels: tuple[list[float], list[float], list[bool]], budget: float) -> Policy | None:
    """What `semcache calibrate` makes of labels; None if nothing is certified."""
    found = calibrate_ranked(*labels, budget)
    if not found.calibration.certified:
        return None
    weights = dict(zip(WEIGHTS, found.weights, strict=False))
    return CertifiedThreshold(found.calibration, {}, weights).policy()


def static(run: Callable[..., Outcome], judged: Scores, budget: float) -> dict[str, Outcome | None]:
    """The best thresholds in hindsight, on the cosine and on the score."""

    @cache
    def at(threshold: float, by: Scores) -> Outcome:
        return run(ThresholdPolicy(threshold, RECOMMENDED_FLOOR), by)

    plain = scores("cosine")
    return {
        "best cosine": best_in_hindsight(lambda t: at(t, plain), budget, COSINES)[1],
        "best score": best_in_hindsight(lambda t: at(t, judged), budget, SCORES)[1],
    }


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

    def run(self, policy: Policy, by: Scores | None = None, **how: bool) -> Outcome:
        return policy_run(policy, self.traffic, by or self.judged, noise=self.noise, **how)


def _online(stream: Stream, compare: bool, tallies: dict[tuple[float, str], Tally]) -> None:
    for budget in BUDGETS:
        verified = stream.run(VerifiedPolicy(budget, seed=stream.seed))
        outcomes: dict[str, Outcome | None] = {"verified": verified}
        if compare:
            outcomes |= _compared(stream, budget, verified)
        for what, outcome in outcomes.items():
            tallies.setdefault((budget, what), Tally()).add(outcome, budget)


def _compared(stream: Stream, budget: float, verified: Outcome) -> dict[str, Outcome | None]:
    exact = _repeats(stream.traffic.texts)
    none = np.zeros(len(exact), bool)
    rates = {"": budget, ", same false": max(verified.false_hit_rate, 1e-9)}
    best = {
        f"{what}{how}": outcome
        for how, rate in rates.items()
        for what, outcome in static(stream.run, stream.judged, rate).items()
    }
    return best | {
        "calibrated": stream.run(CalibratedPolicy(budget, seed=stream.seed)),
        "vCache published": stream.run(
            PublishedRule(budget, stream.seed),
            scores("cosine"),
            exact_tier=False,
            insert_if_different=True,
        ),
        "exact tier alone": Outcome(exact, none, none),
    }


@app.command()
def drift(
    before: str, after: str, seeds: int = 5, size: int = SIZE, evaluator: str = "default"
) -> None:
    """Other traffic from the middle of the stream on; at a budget of 5%."""
    judged, budget, middle = scores(evaluator), BUDGETS[0], size // 2
    both, start = load(before).then(load(after)), len(load(before).texts)
    for seed, kind in product(range(seeds), (VerifiedPolicy, CalibratedPolicy)):
        policy = kind(budget, seed=seed)
        random = np.random.default_rng(seed)
        old = random.permutation(start)[:middle]
        new = start + random.permutation(len(both.texts) - start)[:middle]
        stream = both.take(np.concatenate([old, new]))
        outcome = policy_run(policy, stream, judged)
        calm, later = outcome.part(0, len(old)), outcome.part(len(old), size)
        print(
            f"{before} then {after}, {policy.name}: before {calm.hit_rate:.1%} hits, "
            f"{calm.false_hit_rate:.2%} false; "
            f"after {later.hit.sum()} hits, {later.wrong.sum()} false; "
            f"in all {outcome.false_hit_rate:.2%}; alarms {policy.alarms}",
            flush=True,
        )


class Remembered:
    """An embedder that has the vectors of a stream at hand."""

    def __init__(self, traffic: Traffic, identity: str) -> None:
        self._rows = dict(zip(traffic.texts, traffic.vectors, strict=True))
        self.identity, self.dimension = identity, traffic.vectors.shape[1]

    def fits(self, text: str) -> bool:
        return True

    def embed(self, texts: list[str]) -> Matrix:
        return np.stack([self._rows[text] for text in texts])

    async def aembed(self, texts: list[str]) -> Matrix:
        return self.embed(texts)


@app.command()
def real(names: list[str], budget: float = 0.05, size: int = 2000, seed: int = 0) -> None:
    """Whether the simulation is what `SemanticCache(max_false_hit_rate=...)` does."""
    judged = scores("default")
    for name in names:
        traffic = load(name).shuffled(seed, size)
        simulated = policy_run(VerifiedPolicy(budget), traffic, judged)
        embedder: Any = Remembered(traffic, name)
        with SemanticCache(embedder=embedder, max_false_hit_rate=budget) as through:
            served = _asked(through, traffic)
            told = through.stats().budget
        same = (served == simulated.hit).mean()
        print(f"{name}: {served.sum()} hits, simulated {simulated.hit.sum()}; {same:.1%} alike")
        print(f"  {told}", flush=True)


def _asked(through: SemanticCache, traffic: Traffic) -> NDArray[np.bool_]:
    """Which requests a cache answers by meaning."""
    served = np.zeros(len(traffic.texts), bool)
    for i, (text, answer) in enumerate(zip(traffic.texts, traffic.answers, strict=True)):
        outcome = through.find(through.prompt("json", None, text), JSON)
        served[i] = bool(outcome) and outcome.reason is Reason.SEMANTIC
        if not outcome:
            through.save(outcome.prompt, f"answer {answer}", JSON, miss=outcome)
            through.flush()
    return served


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
