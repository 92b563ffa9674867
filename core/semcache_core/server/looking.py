"""What a person is shown: a prompt's candidates, and the counts of the whole server."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from semcache_core.cache import SemanticCache
from semcache_core.explain import Explanation
from semcache_core.keys import digest, normal
from semcache_core.models import Prompt, Scored
from semcache_core.stats import Stats

_COUNTS = (
    "lookups",
    "hits",
    "exact_hits",
    "semantic_hits",
    "hit_rate",
    "stored",
    "tokens_saved",
    "entries",
    "size",
)
_SCOPES = 5  # looked at, largest first
_ENTRIES = 200_000  # read to find them


async def explanations(
    cache: SemanticCache, namespace: str, question: str, model: str | None
) -> list[dict[str, Any]]:
    """A question alone does not say which system prompt, model and tools it goes with.

    So it is looked up in each scope in which something of this namespace is found by meaning.
    """
    scopes = await asyncio.to_thread(_scopes, cache, namespace, model)
    explained = [await cache.aexplain(_prompt(one, namespace, question)) for one in scopes]
    return sorted(map(_told, explained), key=lambda one: not one["hit"])


def _scopes(cache: SemanticCache, namespace: str, model: str | None) -> list[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for number, entry in enumerate(cache._parts.store.entries(namespace)):
        if number >= _ENTRIES:
            break
        if entry.vector is not None and model in (None, "", entry.model):
            counts[entry.scope, entry.model] += 1
    return [scope for scope, _ in counts.most_common(_SCOPES)]


def _prompt(scope: tuple[str, str], namespace: str, question: str) -> Prompt:
    digested, model = scope
    # The key is of no stored prompt: the wording around the question is not known here.
    key = digest("search", digested, question)
    return Prompt(digested, key, normal(question).strip() or None, namespace, model)


def _told(one: Explanation) -> dict[str, Any]:
    return {
        "hit": bool(one.outcome),
        "reason": one.outcome.reason.value,
        "detail": one.outcome.detail,
        "model": one.survey.prompt.model,
        "scope": one.survey.prompt.scope,
        "candidates": [_candidate(scored) for scored in one.survey.scored],
    }


def _candidate(scored: Scored) -> dict[str, Any]:
    entry, score = scored.candidate.entry, scored.score
    said = [f"{part.by}: {part.reason}" for part in score.parts or (score,) if part.reason]
    return {
        "id": entry.key,
        "question": entry.query,
        "similarity": round(scored.candidate.similarity, 4),
        "score": round(score.value, 4),
        "rejected": score.rejected,
        "why": "; ".join(said),
    }


def pictured(stats: Stats) -> dict[str, Any]:
    """The counts as JSON; seconds are those of the most recent lookups."""
    counted = {name: getattr(stats, name) for name in _COUNTS}
    latency = {
        name: {"count": one.count, "p50": one.p50, "p95": one.p95, "p99": one.p99}
        for name, one in stats.latency.items()
    }
    return counted | {
        "misses": dict(stats.misses),
        "not_stored": dict(stats.not_stored),
        "errors": dict(stats.errors),
        "latency": latency,
    }
