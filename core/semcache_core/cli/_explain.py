"""`semcache search` and `semcache explain`: what a question would be answered with, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from semcache_core.cli._options import (
    AsJson,
    Embedder,
    ModelOf,
    Namespace,
    System,
    Threshold,
    Where,
)
from semcache_core.cli._output import aside, console, print_json, short, table
from semcache_core.cli._program import cache_class, imported
from semcache_core.cli._record import SHORT, cache_at, opened
from semcache_core.codecs import text_of
from semcache_core.errors import ConfigError, PayloadError
from semcache_core.explain import Explanation
from semcache_core.keys import digest, normal
from semcache_core.models import Entry, Hit, Prompt, Scored

Scope = tuple[str, str, str]
Question = Annotated[str, typer.Argument(help="As a user would ask it.")]
Model = Annotated[str | None, typer.Option(help="Only entries of this model.")]
Scopes = Annotated[int, typer.Option(min=1, help="At most so many, largest first.")]


def explain(
    where: Where,
    question: Question,
    *,
    namespace: Namespace = None,
    model: Model = None,
    model_of: ModelOf = None,
    system: System = None,
    embedder: Embedder = None,
    threshold: Threshold = None,
    scopes: Scopes = 3,
    json: AsJson = False,
) -> None:
    """Show what a question would be answered with, and why.

    Only entries of one scope (model, system prompt, earlier turns, tools, namespace) can answer a
    request. --model-of says which: what your program asks. Without it each scope is looked at, the
    largest first.
    """
    sought: dict[str, Any] = {"namespace": namespace, "model": model, "program": (model_of, system)}
    how: dict[str, Any] = {"embedder": embedder, "threshold": threshold, "most": scopes}
    found, left = _explained(where, question, **sought, **how)
    if json:
        print_json([_told(one) for one in found])
        return
    for one in found:
        console.print(f"model: {one.survey.prompt.model or '-'}", style="bold", markup=False)
        console.print(f"{one}\n", markup=False, highlight=False)
    _say_left(found, left)


def search(
    where: Where,
    question: Question,
    *,
    namespace: Namespace = None,
    model: Model = None,
    model_of: ModelOf = None,
    system: System = None,
    embedder: Embedder = None,
    threshold: Threshold = None,
    scopes: Scopes = 20,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many.")] = 10,
    json: AsJson = False,
) -> None:
    """Find stored questions like this one, over all scopes, and say which would be served.

    What is served comes first, then the most similar. `explain` says more of one scope.
    """
    sought: dict[str, Any] = {"namespace": namespace, "model": model, "program": (model_of, system)}
    how: dict[str, Any] = {"embedder": embedder, "threshold": threshold, "most": scopes}
    found, left = _explained(where, question, **sought, **how)
    rows = sorted((row for one in found for row in _rows(one)), key=_order)[:limit]
    if json:
        print_json({"question": question, "hit": any(row["served"] for row in rows), "found": rows})
        return
    if rows:
        columns = ("", "question", "answer", "score", "cosine", "why", "namespace", "model")
        console.print(table(columns, [_shown(row) for row in rows]))
    elif found:
        aside.print(f"nothing found: {found[0].outcome.detail}")
    _say_left(found, left)


def _explained(
    where: str,
    question: str,
    *,
    namespace: str | None,
    model: str | None,
    program: tuple[str | None, str | None],
    most: int,
    **how: Any,
) -> tuple[list[Explanation], int]:
    """The lookups taken apart, and how many scopes were left out."""
    if not question.strip():
        raise ConfigError("the question is empty")
    name, system = program
    if system is not None and name is None:
        raise ConfigError("--system goes with --model-of")
    asked = imported(name) if name else None
    with cache_at(where, cache_class(asked) if name else None, **how) as cache:
        if name:
            prompts = cache.prompts(question, asked, system=system)
        else:
            with opened(where) as record:
                entries = (one for one in record.entries(namespace) if model in (None, one.model))
                prompts = [_prompt(scope, question) for scope in _scopes(entries)]
        return [cache.explain(one) for one in prompts[:most]], max(0, len(prompts) - most)


def _scopes(entries: Iterable[Entry]) -> list[Scope]:
    """Those in which anything is found by meaning, largest first."""
    counts = Counter((e.scope, e.namespace, e.model) for e in entries if e.vector is not None)
    return [scope for scope, _ in counts.most_common()]


def _prompt(scope: Scope, question: str) -> Prompt:
    digested, namespace, model = scope
    # The key is of no stored prompt: the wording around the question is not known here.
    key = digest("explain", digested, question)
    return Prompt(digested, key, normal(question).strip() or None, namespace, model)


def _say_left(found: list[Explanation], left: int) -> None:
    if not found:
        aside.print("nothing here is found by meaning")
    if left:
        aside.print(f"{left} more scopes; see --scopes, --namespace, --model, --model-of")


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


def _rows(one: Explanation) -> Iterator[dict[str, Any]]:
    """A lookup's candidates, the served one with the reason of the hit."""
    served = one.outcome.entry if isinstance(one.outcome, Hit) else None
    seen = {scored.candidate.entry.key for scored in one.survey.scored}
    if served is not None and served.key not in seen:
        yield _row(one, served, 1.0, 1.0, one.outcome.detail)
    for scored in one.survey.scored:
        entry, score = scored.candidate.entry, scored.score
        best = scored is one.survey.scored[0]
        why = score.reason or (one.outcome.detail if best else "")
        yield _row(one, entry, scored.value, scored.candidate.similarity, why)


def _row(
    one: Explanation, entry: Entry, score: float, similarity: float, why: str
) -> dict[str, Any]:
    served = isinstance(one.outcome, Hit) and one.outcome.entry.key == entry.key
    return {
        "id": entry.key,
        "served": served,
        "question": entry.query,
        "answer": _answer(entry),
        "score": score,
        "similarity": similarity,
        "why": why,
        "namespace": entry.namespace,
        "model": entry.model,
        "scope": entry.scope,
    }


def _order(row: dict[str, Any]) -> tuple[bool, float]:
    return not row["served"], -row["similarity"]


def _shown(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{'HIT ' if row['served'] else ''}{row['id'][:SHORT]}",
        short(row["question"] or "(exact match only)"),
        short(row["answer"] or "(cannot be read)", 80),
        f"{row['score']:.3f}",
        f"{row['similarity']:.3f}",
        row["why"],
        row["namespace"],
        row["model"],
    )


def _answer(entry: Entry) -> str | None:
    try:
        return text_of(entry.payload)
    except PayloadError:
        return None
