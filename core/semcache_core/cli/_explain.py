"""`semcache explain`: what a question would be answered with, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from semcache_core.cache import SemanticCache
from semcache_core.cli._options import AsJson, Namespace, Where
from semcache_core.cli._output import console, print_json
from semcache_core.cli._record import is_url, opened
from semcache_core.explain import Explanation
from semcache_core.keys import digest, normal
from semcache_core.models import Entry, Prompt, Scored

Scope = tuple[str, str, str]


def explain(
    where: Where,
    question: Annotated[str, typer.Argument(help="As a user would ask it.")],
    *,
    namespace: Namespace = None,
    model: Annotated[str | None, typer.Option(help="Only entries of this model.")] = None,
    embedder: Annotated[str | None, typer.Option(help="The cache's embedder.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the default.")] = None,
    scopes: Annotated[int, typer.Option(min=1, help="At most so many, largest first.")] = 3,
    json: AsJson = False,
) -> None:
    """Show what a question would be answered with, and why.

    Only entries of one scope (model, system prompt, earlier turns, tools, namespace) can answer a
    request. A question alone does not say which scope it belongs to, so each is looked at.
    """
    with opened(where) as record:
        entries = (one for one in record.entries(namespace) if model in (None, one.model))
        found = _scopes(entries)
    place: dict[str, Any] = {"entries": where} if is_url(where) else {"path": where}
    with SemanticCache(**place, embedder=embedder, threshold=threshold) as cache:
        explained = [cache.explain(_prompt(scope, question)) for scope in found[:scopes]]
    if json:
        print_json([_told(one) for one in explained])
    else:
        _show(explained, len(found))


def _scopes(entries: Iterator[Entry]) -> list[Scope]:
    """Those in which anything is found by meaning, largest first."""
    counts = Counter((e.scope, e.namespace, e.model) for e in entries if e.vector is not None)
    return [scope for scope, _ in counts.most_common()]


def _prompt(scope: Scope, question: str) -> Prompt:
    digested, namespace, model = scope
    # The key is of no stored prompt: the wording around the question is not known here.
    key = digest("explain", digested, question)
    return Prompt(digested, key, normal(question).strip() or None, namespace, model)


def _show(explained: list[Explanation], scopes: int) -> None:
    if not explained:
        console.print("nothing here is found by meaning")
    for one in explained:
        console.print(f"model: {one.survey.prompt.model or '-'}", style="bold", markup=False)
        console.print(f"{one}\n", markup=False, highlight=False)
    if scopes > len(explained):
        console.print(f"{scopes - len(explained)} more scopes; see --scopes, --namespace, --model")


def _told(one: Explanation) -> dict[str, Any]:
    prompt = one.survey.prompt
    return {
        "hit": bool(one.outcome),
        "reason": one.outcome.reason.value,
        "detail": one.outcome.detail,
        "scope": prompt.scope,
        "namespace": prompt.namespace,
        "model": prompt.model,
        "candidates": [_candidate(scored) for scored in one.survey.scored],
    }


def _candidate(scored: Scored) -> dict[str, Any]:
    entry, score = scored.candidate.entry, scored.score
    return {
        "id": entry.key,
        "question": entry.query,
        "similarity": scored.candidate.similarity,
        "score": score.value,
        "rejected": score.rejected,
        "parts": [
            {"by": part.by, "value": part.value, "rejected": part.rejected, "reason": part.reason}
            for part in score.parts or (score,)
        ],
    }
