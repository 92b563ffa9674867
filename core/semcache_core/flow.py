"""One lookup and one update, each written once for threads and for the event loop (`steps`).

A lookup goes from cheap to dear: the record by key, the embedding, the neighbours, the evaluators,
the policy. Each step's failure is the caller's to catch; nothing here swallows one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from semcache_core.blocked import Blocked
from semcache_core.control import Control
from semcache_core.embedders import Embedder
from semcache_core.models import (
    Action,
    Candidate,
    Decision,
    Entry,
    Hit,
    Miss,
    Outcome,
    Prompt,
    Query,
    Reason,
    Scored,
    Vector,
)
from semcache_core.protocols import Clock, Evaluator, Policy
from semcache_core.sessions import Sessions
from semcache_core.stats import Recorder
from semcache_core.steps import Flow, step
from semcache_core.store import Store

log = logging.getLogger("semcache")

Choose = Callable[[Prompt, Sequence[Scored]], Scored]
"""Picks one of several acceptable candidates, best first (`postprocess`)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a lookup works with."""

    store: Store
    embedder: Embedder
    evaluator: Evaluator
    policy: Policy
    choose: Choose
    blocked: Blocked
    sessions: Sessions
    recorder: Recorder
    clock: Clock
    top_k: int
    shadow: bool = False


def look(parts: Parts, prompt: Prompt, control: Control) -> Flow[Outcome]:
    """Find an answer: by key, else by meaning. The hit's answer is not decoded yet."""
    entry = yield from step(parts.store.get, parts.store.aget, prompt.key)
    if entry is not None and (refusal := _refusal(parts, prompt, entry, control)) is None:
        return _hit(parts, prompt, entry, Reason.EXACT)
    why_not = exact_only(parts, prompt)
    if why_not:
        return Miss(prompt, Reason.EXACT_ONLY, why_not)
    query = yield from _embedded(parts, prompt)
    candidates = yield from _candidates(parts, prompt, query, control)
    if not candidates:
        return Miss(prompt, refusal_or_empty(entry, parts, prompt, control), query=query)
    scored = yield from _scored(parts, query, candidates)
    return _decided(parts, prompt, query, scored, control)


def exact_only(parts: Parts, prompt: Prompt) -> str:
    """Why this prompt cannot be found by meaning; empty if it can."""
    if prompt.query is None:
        return prompt.exact_only
    if not parts.embedder.fits(prompt.query):
        return "the question is longer than the embedder's window"
    return ""
