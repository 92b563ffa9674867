"""One lookup and one update, each written once for threads and for the event loop (`steps`).

A lookup surveys from cheap to dear (the record by key, the embedding, the neighbours, the
evaluators, the policy) and then concludes; the conclusion is pure. A failing part raises: the cache
catches.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from semcache_core.blocked import Blocked
from semcache_core.control import Control
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
from semcache_core.postprocess import Chooser
from semcache_core.protocols import Clock, Embedder, Evaluator, Policy
from semcache_core.sessions import Sessions
from semcache_core.stats import Recorder
from semcache_core.steps import Flow, step
from semcache_core.store import Store

log = logging.getLogger("semcache")

TOO_LONG = "the question is longer than the embedder's window"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a lookup works with."""

    store: Store
    embedder: Embedder
    evaluator: Evaluator
    policy: Policy
    choose: Chooser
    blocked: Blocked
    sessions: Sessions
    recorder: Recorder
    clock: Clock
    top_k: int
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything a lookup found out, whether or not it led to a hit."""

    prompt: Prompt
    at: float
    """When, in seconds since the epoch."""
    exact: Entry | None = None
    """The entry of this very prompt."""
    exact_only: str = ""
    """Why the prompt is not looked for by meaning; empty if it is."""
    query: Query | None = None
    withheld: tuple[tuple[Entry, Reason], ...] = ()
    """Entries that may not be served to this caller, and why."""
    scored: tuple[Scored, ...] = ()
    """Candidates at or above the policy's floor, best first; rejected ones last."""
    decision: Decision | None = None


def look(parts: Parts, prompt: Prompt, control: Control) -> Flow[Outcome]:
    """Find an answer: by key, else by meaning. A hit's answer is not decoded yet."""
    survey = yield from surveyed(parts, prompt, control, thorough=False)
    return concluded(parts, survey)


def surveyed(parts: Parts, prompt: Prompt, control: Control, *, thorough: bool) -> Flow[Survey]:
    """Gather what a decision needs; a thorough survey goes on after an exact match."""
    now = parts.clock()
    exact = yield from step(parts.store.get, parts.store.aget, prompt.key)
    withheld: list[tuple[Entry, Reason]] = []
    if exact is not None and (why := withholding(parts, prompt, exact, control)):
        withheld.append((exact, why))
        exact = None
    why_not = exact_only(parts, prompt)
    if (exact is not None and not thorough) or why_not:
        return Survey(prompt, now, exact, why_not, withheld=tuple(withheld))
    query = yield from embedded(parts, prompt)
    near = yield from _near(parts, prompt, query, control)
    served = [c for c in near if not _withhold(parts, prompt, c, control, withheld)]
    scored = yield from _scored(parts, query, served)
    decision = _decide(parts, query, scored, control)
    return Survey(prompt, now, exact, "", query, tuple(withheld), scored, decision)


def exact_only(parts: Parts, prompt: Prompt) -> str:
    """Why this prompt cannot be found by meaning; empty if it can."""
    if prompt.query is None:
        return prompt.exact_only
    if not parts.embedder.fits(prompt.query):
        return TOO_LONG
    return ""


def withholding(parts: Parts, prompt: Prompt, entry: Entry, control: Control) -> Reason | None:
    """Why this entry may not be served to this caller; None if it may."""
    if parts.blocked.is_blocked(prompt.key, entry.key):
        return Reason.BLOCKED
    if control.session is not None and parts.sessions.has_seen(control.session, entry.key):
        return Reason.SEEN
    return None


def _withhold(
    parts: Parts,
    prompt: Prompt,
    candidate: Candidate,
    control: Control,
    withheld: list[tuple[Entry, Reason]],
) -> bool:
    why = withholding(parts, prompt, candidate.entry, control)
    if why is not None and all(entry.key != candidate.entry.key for entry, _ in withheld):
        withheld.append((candidate.entry, why))
    return why is not None


def embedded(parts: Parts, prompt: Prompt) -> Flow[Query]:
    """The prompt's question with its vector."""
    started = perf_counter()
    text = prompt.query or ""
    rows = yield from step(parts.embedder.embed, parts.embedder.aembed, [text])
    parts.recorder.stage("embed", perf_counter() - started)
    return Query(text, rows[0], prompt.turns)


def _near(parts: Parts, prompt: Prompt, query: Query, control: Control) -> Flow[list[Candidate]]:
    started = perf_counter()
    k = control.top_k or parts.top_k
    nearest, anearest = parts.store.nearest, parts.store.anearest
    found = yield from step(
        nearest, anearest, prompt.scope, query.vector, k, floor=parts.policy.floor
    )
    parts.recorder.stage("search", perf_counter() - started)
    return found


def _scored(parts: Parts, query: Query, near: Sequence[Candidate]) -> Flow[tuple[Scored, ...]]:
    if not near:
        return ()
    started = perf_counter()
    scores = yield from step(parts.evaluator.score, parts.evaluator.ascore, query, near)
    parts.recorder.stage("evaluate", perf_counter() - started)
    scored = [Scored(*pair) for pair in zip(near, scores, strict=True)]
    return tuple(sorted(scored, key=lambda s: (s.score.rejected, -s.value)))


def _decide(
    parts: Parts, query: Query, scored: Sequence[Scored], control: Control
) -> Decision | None:
    sound = [one for one in scored if not one.score.rejected]
    return parts.policy.decide(query, sound, control.factor) if sound else None


def concluded(parts: Parts, survey: Survey) -> Outcome:
    """The outcome that a survey leads to."""
    if survey.exact is not None:
        return _serve(parts, survey, survey.exact, Reason.EXACT)
    if survey.decision is None or survey.query is None:
        return _miss(survey, *_why_nothing(survey))
    decision = survey.decision
    if decision.action is Action.SERVE:
        chosen = parts.choose(survey.prompt, decision.chosen)
        return _serve(parts, survey, chosen.candidate.entry, Reason.SEMANTIC, chosen)
    explored = decision.action is Action.EXPLORE
    why = decision.why or (Reason.EXPLORED if explored else Reason.BELOW)
    return _miss(survey, why, decision.reason, next(iter(decision.chosen), None))


def _serve(
    parts: Parts, survey: Survey, entry: Entry, reason: Reason, chosen: Scored | None = None
) -> Outcome:
    if parts.shadow:
        return _miss(survey, Reason.SHADOW, f"would have been a hit ({reason.value})", chosen)
    similarity = chosen.candidate.similarity if chosen else 1.0
    detail = survey.decision.reason if chosen and survey.decision else "the same prompt"
    age = max(0.0, survey.at - entry.created)
    score = chosen.value if chosen else 1.0
    return Hit(survey.prompt, entry, similarity, reason, age, score, detail)


def _miss(survey: Survey, reason: Reason, detail: str = "", explore: Scored | None = None) -> Miss:
    return Miss(survey.prompt, reason, detail, survey.query, survey.scored, explore)


def _why_nothing(survey: Survey) -> tuple[Reason, str]:
    """Why there was nothing that a policy could decide on."""
    if survey.scored:
        return Reason.REJECTED, survey.scored[0].score.reason
    if survey.withheld:
        return survey.withheld[0][1], "the entry that matches is withheld"
    if survey.exact_only:
        return Reason.EXACT_ONLY, survey.exact_only
    return Reason.EMPTY, "nothing similar is stored"


def keep(
    parts: Parts,
    prompt: Prompt,
    payload: bytes,
    *,
    key: str,
    tokens: int,
    ttl: float | None,
    miss: Miss | None,
) -> Flow[Entry]:
    """Write one answer into the record; the miss that led to it saves embedding twice."""
    vector = yield from _vector(parts, prompt, miss)
    now = parts.clock()
    entry = Entry(
        key=key,
        scope=prompt.scope,
        namespace=prompt.namespace,
        payload=payload,
        created=now,
        query=prompt.query,
        vector=vector,
        turns=prompt.turns,
        model=prompt.model,
        expires=None if ttl is None else now + ttl,
        last_used=now,
        tokens=tokens,
    )
    started = perf_counter()
    [stored] = yield from step(parts.store.put, parts.store.aput, [entry])
    parts.recorder.stage("put", perf_counter() - started)
    return stored


def _vector(parts: Parts, prompt: Prompt, miss: Miss | None) -> Flow[Vector | None]:
    if exact_only(parts, prompt):
        return None
    if miss is not None and miss.query is not None:
        return miss.query.vector
    try:
        query = yield from embedded(parts, prompt)
    except Exception as error:  # noqa: BLE001  # the answer is paid for: keep it for exact matches
        log.warning(
            "semcache: the embedder failed (%s); the answer is kept without a vector", error
        )
        parts.recorder.error(error)
        return None
    return query.vector
