"""One lookup and one update, each written once for threads and for the event loop (`steps`).

A lookup surveys from cheap to dear (the record by key, the embedding, the neighbours, the
evaluators, the policy) and then concludes; the conclusion is pure. A failing part raises: the cache
catches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from semcache_core.blocked import Blocked
from semcache_core.control import Control
from semcache_core.keys import variant
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
from semcache_core.redaction import redacted
from semcache_core.sessions import Sessions
from semcache_core.stats import Recorder
from semcache_core.steps import Flow, offloaded, step
from semcache_core.store import Store
from semcache_core.variety import Variety

log = logging.getLogger("semcache")

UNSEEN = (
    "the embedder does not see all of the question: it is longer than the embedder's window, or has"
    " words or signs that the embedder does not know"
)


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
    variety: Variety = field(default_factory=Variety)


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
    collected: int = 0
    """Answers to this very prompt, when more are wanted and none is served for that."""
    withheld: tuple[tuple[Entry, Reason], ...] = ()
    """Entries that may not be served to this caller, and why."""
    scored: tuple[Scored, ...] = ()
    """Candidates at or above the policy's floor, best first; rejected ones last."""
    decision: Decision | None = None


def look(parts: Parts, prompt: Prompt, control: Control) -> Flow[Outcome]:
    """Find an answer: by key, else by meaning. A hit's answer is not decoded yet."""
    survey = yield from surveyed(parts, prompt, control, thorough=False)
    outcome = concluded(parts, survey)
    if outcome and outcome.reason is Reason.SEMANTIC:
        _tell(parts.policy, survey)
    return outcome


def _tell(policy: Policy, survey: Survey) -> None:
    # `Watchful`, if it is one; to ask `isinstance` takes 10 microseconds and more.
    told: Callable[[Query, Scored], None] | None = getattr(policy, "served", None)
    if told is not None and survey.query is not None and survey.decision is not None:
        told(survey.query, survey.decision.chosen[0])


def surveyed(parts: Parts, prompt: Prompt, control: Control, *, thorough: bool) -> Flow[Survey]:
    """Gather what a decision needs; a thorough survey goes on after an exact match."""
    gathering = _gathered(parts, prompt, control, thorough=thorough)
    on_loop = getattr(parts.embedder, "native_async", True)
    survey, near = yield from gathering if on_loop else offloaded(gathering)
    if survey.query is None or (survey.exact is not None and not thorough):
        return survey
    scored = yield from _scored(parts, survey.query, near)
    decision = _decide(parts, survey.query, scored, control)
    return replace(survey, scored=scored, decision=decision)


def _gathered(
    parts: Parts, prompt: Prompt, control: Control, *, thorough: bool
) -> Flow[tuple[Survey, list[Candidate]]]:
    """What the record has, and the candidates to be scored."""
    withheld: list[tuple[Entry, Reason]] = []
    survey = Survey(prompt, parts.clock())
    kept = yield from answers_to(parts, prompt)
    allowed = [one for one in kept if not _withheld(parts, prompt, one, control, withheld)]
    if kept and not thorough and parts.variety.wants_more(prompt, len(kept)):
        return replace(survey, collected=len(kept)), []
    exact = parts.variety.one_of(prompt, allowed)
    why_not = exact_only(parts, prompt)
    survey = replace(survey, exact=exact, exact_only=why_not)
    if (exact is not None and not thorough) or why_not:
        return replace(survey, withheld=tuple(withheld)), []
    query = yield from embedded(parts, prompt)
    near = yield from _near(parts, prompt, query, control)
    served = [c for c in near if not _withheld(parts, prompt, c.entry, control, withheld)]
    # An answer to this very prompt that was stored after it was looked for by key.
    exact = exact or next((one.entry for one in served if one.entry.key == prompt.key), None)
    survey = replace(survey, exact=exact, query=query, withheld=tuple(withheld))
    return survey, [] if exact is not None and not thorough else served


def exact_only(parts: Parts, prompt: Prompt) -> str:
    """Why this prompt cannot be found by meaning; empty if it can."""
    if prompt.query is None:
        return prompt.exact_only
    if not parts.embedder.fits(prompt.query):
        return UNSEEN
    return ""


def withholding(parts: Parts, prompt: Prompt, entry: Entry, control: Control) -> Reason | None:
    """Why this entry may not be served to this caller; None if it may."""
    if parts.blocked.is_blocked(prompt.key, entry.key):
        return Reason.BLOCKED
    if control.session is not None and parts.sessions.has_seen(control.session, entry.key):
        return Reason.SEEN
    return None


def _withheld(
    parts: Parts,
    prompt: Prompt,
    entry: Entry,
    control: Control,
    withheld: list[tuple[Entry, Reason]],
) -> bool:
    why = withholding(parts, prompt, entry, control)
    if why is not None and all(one.key != entry.key for one, _ in withheld):
        withheld.append((entry, why))
    return why is not None


def answers_to(parts: Parts, prompt: Prompt) -> Flow[list[Entry]]:
    """The answers kept for this very prompt: one, unless several are asked for."""
    found: list[Entry] = []
    for number in range(parts.variety.answers):
        key = variant(prompt.key, number)
        entry = yield from step(parts.store.get, parts.store.aget, key)
        if entry is not None:
            found.append(entry)
    return found


def place_for(parts: Parts, prompt: Prompt, *, anew: bool) -> Flow[str]:
    """The key to store an answer under: beside those kept, in place of the oldest if they are all.

    `anew` is for an answer that replaces what was there.
    """
    if parts.variety.answers == 1:
        return prompt.key
    kept = yield from answers_to(parts, prompt)
    if anew:
        yield from step(parts.store.delete, parts.store.adelete, [one.key for one in kept])
        return prompt.key
    taken = {one.key for one in kept}
    keys = [variant(prompt.key, number) for number in range(parts.variety.answers)]
    free = [key for key in keys if key not in taken]
    return free[0] if free else min(kept, key=lambda one: one.created).key


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
    if survey.collected:
        return Reason.SKIPPED, f"{survey.collected} answers are kept so far, and more are wanted"
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


def adopt(parts: Parts, entry: Entry) -> Flow[None]:
    """Copy another cache's entry into this one, under its own key, until it expires there."""
    vector = entry.vector
    if entry.query is not None and vector is not None:
        prompt = Prompt(entry.scope, entry.key, entry.query, turns=entry.turns)
        fits = parts.embedder.fits(entry.query)
        vector = (yield from embedded(parts, prompt)).vector if fits else None
    yield from step(parts.store.put, parts.store.aput, [replace(entry, vector=vector, seq=0)])


def answering(
    parts: Parts, query: Query, flying: Mapping[str, tuple[Any, Query, Prompt]]
) -> Flow[str | None]:
    """The key of the prompt in flight whose answer the policy would serve; it has none yet."""
    near = [
        Candidate(_answerless(key, prompt, asked), float(query.vector @ asked.vector))
        for key, (_, asked, prompt) in flying.items()
    ]
    near = [one for one in near if one.similarity >= parts.policy.floor]
    scored = yield from _scored(parts, query, sorted(near, key=lambda one: -one.similarity))
    decision = _decide(parts, query, scored, Control())
    if decision is None or decision.action is not Action.SERVE:
        return None
    return decision.chosen[0].candidate.entry.key


def _answerless(key: str, prompt: Prompt, asked: Query) -> Entry:
    return Entry(
        key, prompt.scope, prompt.namespace, b"", 0.0, prompt.query, asked.vector, prompt.turns
    )


def _vector(parts: Parts, prompt: Prompt, miss: Miss | None) -> Flow[Vector | None]:
    if exact_only(parts, prompt):
        return None
    if miss is not None and miss.query is not None:
        return miss.query.vector
    try:
        query = yield from embedded(parts, prompt)
    except Exception as error:  # noqa: BLE001  # the answer is paid for: keep it for exact matches
        log.warning("semcache: %s; the answer is kept without a vector", redacted(error))
        parts.recorder.error(error)
        return None
    return query.vector
