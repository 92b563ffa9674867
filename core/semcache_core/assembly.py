"""From the facade's arguments to the parts of a cache; clashes are found before it opens."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from semcache_core.blocked import Blocked
from semcache_core.embedders import make_embedder
from semcache_core.errors import ConfigError
from semcache_core.evaluators import (
    RECOMMENDED_FLOOR,
    KReciprocal,
    default_evaluator,
)
from semcache_core.evaluators._base import identity, recommended
from semcache_core.evaluators._combinations import require_ranking
from semcache_core.flow import Parts
from semcache_core.judges import EqualAnswers
from semcache_core.learning import Learning
from semcache_core.policies import make_policy
from semcache_core.postprocess import make_chooser
from semcache_core.protocols import Clock, Evaluator, Judge, Policy
from semcache_core.sessions import Sessions
from semcache_core.stats import Recorder
from semcache_core.store import Store, open_store
from semcache_core.variety import Variety


def assemble(
    path: str | PathLike[str] | None,
    *,
    embedder: Any,
    threshold: float | None,
    max_false_hit_rate: float | None,
    confidence: float | None,
    evaluator: Evaluator | None,
    policy: Policy | str | None,
    top_k: int,
    post_process: Any,
    softmax_temperature: float | None,
    shadow: bool,
    variety: Variety,
    prices: Mapping[str, float] | None,
    clock: Clock,
    **storage: Any,
) -> Parts:
    """Raises `ConfigError` for arguments that cannot work, `StoreError` for an unusable path."""
    made = make_embedder(embedder)
    judged_by = evaluator if evaluator is not None else default_evaluator(made)
    require_ranking(judged_by)
    decided_by = make_policy(
        policy,
        threshold=threshold,
        max_false_hit_rate=max_false_hit_rate,
        confidence=confidence,
        default_threshold=recommended(judged_by),
        floor=RECOMMENDED_FLOOR,
    )
    chooser = make_chooser(post_process, temperature=softmax_temperature)
    recorder = Recorder(prices)
    store = open_store(path, embedder=made, clock=clock, failed=recorder.error, **storage)
    try:
        _join(judged_by, store)
    except ConfigError:
        store.close()
        raise
    return Parts(
        store=store,
        embedder=made,
        evaluator=judged_by,
        policy=decided_by,
        choose=variety.choose if post_process is None else chooser,
        blocked=Blocked(store),
        sessions=Sessions(),
        recorder=recorder,
        clock=clock,
        top_k=max(top_k, getattr(decided_by, "neighbours", 1)),
        shadow=shadow,
        variety=variety,
    )


def _join(evaluator: Evaluator, store: Store) -> None:
    """Tell those that ask for an entry's neighbours where to look, however deep they are."""
    if isinstance(evaluator, KReciprocal) and evaluator.joined is not None:
        evaluator.join(store.nearest)
    for part in getattr(evaluator, "parts", ()):
        _join(part, store)


def learning_of(parts: Parts, judge: Judge | None) -> Learning:
    """What learns beside these parts; without a judge only equal texts are the same answer."""
    judged_by = judge or EqualAnswers()
    scored_by, shadow = identity(parts.evaluator), parts.shadow
    return Learning(parts.store, parts.policy, judged_by, parts.recorder, scored_by, shadow=shadow)
