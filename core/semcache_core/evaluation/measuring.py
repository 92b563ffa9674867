"""Labelled questions through an embedder, an evaluator and a policy, as a lookup goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

import numpy as np

from semcache_core.embedders import make_embedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation.examples import Asked, Examples, Pair
from semcache_core.evaluation.pupils import beside
from semcache_core.evaluation.report import Mistake, Report
from semcache_core.evaluation.shares import Share, area, curve
from semcache_core.evaluators import (
    RECOMMENDED_FLOOR,
    default_evaluator,
)
from semcache_core.evaluators import evaluate as ranked
from semcache_core.evaluators._base import recommended
from semcache_core.evaluators.distance import plain
from semcache_core.models import Action, Candidate, Entry, Matrix, Query, Scored, Vector
from semcache_core.policies import ThresholdPolicy
from semcache_core.policies.factory import settled
from semcache_core.protocols import Embedder, Evaluator, Learner, Policy
from semcache_core.stats import Recorder

P = ParamSpec("P")
T = TypeVar("T")
Tell = Callable[[int, int], None]
"""(done, of): called now and then, for a progress bar."""

_BATCH = 64
_TIMED = 50
"""Texts that are embedded one by one, to say what a lookup costs; the rest goes in batches."""


def evaluate(
    examples: Examples,
    *,
    embedder: Any = None,
    evaluator: Evaluator | None = None,
    policy: Policy | None = None,
    threshold: float | None = None,
    top_k: int = 5,
    tell: Tell | None = None,
) -> Report:
    """Hit rate, precision, recall and the P-CHR curve of what a cache would serve.

    Pairs: each is a lookup with one stored question. A stream: each question looks among the
    `top_k` nearest of all before it, then is stored; exact repeats are counted apart, since any
    cache serves them. Without arguments the parts are the cache's defaults. A copy of a learning
    policy is told of every lookup that it does not serve; the policy itself learns nothing here.
    Raises `ConfigError`; `EmbedderError` and `EvaluatorError` if a part fails.
    """
    if not examples:
        raise ConfigError("examples: none given")
    made = make_embedder(embedder)
    judged = evaluator or default_evaluator(made)
    asked_by = beside(policy_of(policy, threshold, judged))
    bench = _Bench(made, judged, asked_by, top_k, tell or _silent)
    pairs = [one for one in examples if isinstance(one, Pair)]
    asked = [one for one in examples if isinstance(one, Asked)]
    if max(len(pairs), len(asked)) != len(examples):
        raise ConfigError("examples: give pairs or questions of a stream, not both")
    return _pairs(bench, pairs) if pairs else _stream(bench, asked)


@dataclass(frozen=True, slots=True)
class _Bench:
    embedder: Embedder
    evaluator: Evaluator
    policy: Policy
    top_k: int
    tell: Tell
    recorder: Recorder = field(default_factory=Recorder)

    def timed(self, stage: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        started = perf_counter()
        result = call(*args, **kwargs)
        self.recorder.stage(stage, perf_counter() - started)
        return result


def _silent(done: int, of: int) -> None:
    pass


def policy_of(policy: Policy | None, threshold: float | None, evaluator: Evaluator) -> Policy:
    """The one that is measured: as given, or the evaluator's threshold. Raises `ConfigError`."""
    if policy is not None and threshold is not None:
        raise ConfigError(f"policy and threshold={threshold!r}: give one of them")
    return policy or ThresholdPolicy(settled(threshold, recommended(evaluator)), RECOMMENDED_FLOOR)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One question, and what is known of it."""

    query: Query
    right: dict[str, bool]
    """Whether each stored question that it may meet is the same."""
    answerable: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A lookup and what came of it."""

    lookup: _Lookup
    best: Scored | None
    """What was served, else the best candidate above the floor."""
    served: bool

    @property
    def right(self) -> bool:
        return self.best is not None and self.lookup.right[_question(self.best)]

    @property
    def value(self) -> float:
        """Minus infinity if there was nothing, or all was rejected."""
        return -math.inf if self.best is None or self.best.score.rejected else self.best.value


def _question(scored: Scored) -> str:
    return scored.candidate.entry.query or ""


def _pairs(bench: _Bench, pairs: Sequence[Pair]) -> Report:
    rows = _vectors(bench, [text for one in pairs for text in (one.query, one.stored)])
    seen = []
    for one in pairs:
        query = Query(one.query, rows[one.query])
        lookup = _Lookup(query, {one.stored: one.same}, one.same, one.kind)
        seen.append(_looked(bench, lookup, rows))
    return _report(bench, "pairs", seen)


def _stream(bench: _Bench, asked: Sequence[Asked]) -> Report:
    rows = _vectors(bench, [one.text for one in asked])
    matrix = np.empty((len(asked), bench.embedder.dimension), np.float32)
    stored: list[Asked] = []
    known: set[str] = set()
    groups: set[str] = set()
    seen = []
    for one in asked:
        if plain(one.text) in known:
            continue
        query = Query(one.text, rows[one.text])
        near = bench.timed("search", _nearest, matrix[: len(stored)], query.vector, bench.top_k)
        right = {stored[i].text: stored[i].group == one.group for i in near}
        seen.append(_looked(bench, _Lookup(query, right, one.group in groups), rows))
        matrix[len(stored)] = query.vector
        stored.append(one)
        known.add(plain(one.text))
        groups.add(one.group)
    return _report(bench, "stream", seen, exact=len(asked) - len(seen))


def _nearest(matrix: Matrix, vector: Vector, k: int) -> list[int]:
    return [int(i) for i in np.argsort(-(matrix @ vector))[:k]]


def _looked(bench: _Bench, lookup: _Lookup, rows: dict[str, Vector]) -> _Seen:
    query = lookup.query
    near = [Candidate(_entry(text), float(query.vector @ rows[text])) for text in lookup.right]
    near = [one for one in near if one.similarity >= bench.policy.floor]
    if not near:
        return _Seen(lookup, None, served=False)
    scored = bench.timed("evaluate", ranked, bench.evaluator, query, near)
    sound = [one for one in scored if not one.score.rejected]
    decision = bench.policy.decide(query, sound) if sound else None
    if decision is None or not decision.chosen:
        return _Seen(lookup, scored[0], served=False)
    chosen = decision.chosen[0]
    if decision.action is Action.SERVE:
        return _Seen(lookup, chosen, served=True)
    if isinstance(bench.policy, Learner):
        bench.policy.observe(query, chosen, lookup.right[_question(chosen)])
    return _Seen(lookup, scored[0], served=False)


def _entry(text: str) -> Entry:
    return Entry(text, "", "", b"", 0.0, query=text)


def _vectors(bench: _Bench, texts: Sequence[str]) -> dict[str, Vector]:
    """The vector of every text; one that does not fit the model has none, and hits nothing."""
    wanted = list(dict.fromkeys(texts))
    fitting = [text for text in wanted if bench.embedder.fits(text)]
    nothing = np.zeros(bench.embedder.dimension, np.float32)
    found = dict.fromkeys(wanted, nothing)
    for text in fitting[:_TIMED]:
        [found[text]] = bench.timed("embed", bench.embedder.embed, [text])
    rest = sorted(fitting[_TIMED:], key=len)  # texts of one length fill a batch without padding
    for start in range(0, len(rest), _BATCH):
        batch = rest[start : start + _BATCH]
        found.update(zip(batch, bench.embedder.embed(batch), strict=True))
        bench.tell(start + len(batch) + _TIMED, len(fitting))
    return found


def _report(bench: _Bench, source: str, seen: Sequence[_Seen], exact: int = 0) -> Report:
    hits = [one for one in seen if one.served]
    sound = [one for one in seen if one.value > -math.inf]
    answerable = sum(one.lookup.answerable for one in seen)
    values, right = [one.value for one in sound], [one.right for one in sound]
    truth = [one.right if one.best else one.lookup.answerable for one in seen]
    return Report(
        source=source,
        lookups=len(seen),
        answerable=answerable,
        hits=len(hits),
        right=sum(one.right for one in hits),
        exact=exact,
        points=curve(values, right, len(seen), answerable),
        area=area(truth, [one.value for one in seen]),
        kinds=_kinds(seen),
        latency=bench.recorder.picture().latency,
        mistakes=tuple(_mistake(one) for one in seen if _mistaken(one)),
    )


def _kinds(seen: Sequence[_Seen]) -> dict[str, Share]:
    order = sorted({(not o.lookup.answerable, o.lookup.kind) for o in seen if o.lookup.kind})
    rows = {kind: [one for one in seen if one.lookup.kind == kind] for _, kind in order}
    return {kind: Share(sum(one.served for one in of), len(of)) for kind, of in rows.items()}


def _mistaken(one: _Seen) -> bool:
    return not one.right if one.served else one.lookup.answerable


def _mistake(one: _Seen) -> Mistake:
    query, kind, best = one.lookup.query.text, one.lookup.kind, one.best
    if best is None:
        return Mistake(query, "", False, 0.0, 0.0, "nothing above the floor", kind)
    reason = best.score.reason or f"{best.score.by} {best.value:.3f}"
    similarity = best.candidate.similarity
    return Mistake(query, _question(best), one.served, similarity, best.value, reason, kind)
