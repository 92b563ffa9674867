"""`semcache warm`: answers that are known already."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from semcache_core.cli._options import AsJson, Embedder, ModelOf, System, Where
from semcache_core.cli._output import GO_ON, aside, console, print_json, progress
from semcache_core.cli._program import cache_class, imported
from semcache_core.cli._record import cache_at
from semcache_core.errors import ConfigError
from semcache_core.warming import Known, Warmed


def warm(
    where: Where,
    file: Annotated[str, typer.Argument(help="CSV or TSV with a header, JSON, or JSON lines.")],
    *,
    model_of: ModelOf = None,
    system: System = None,
    exact: Annotated[
        str | None, typer.Option(metavar="JSON", help="As in cache.get(question, exact=...).")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="The tenant.")] = None,
    embedder: Embedder = None,
    question_column: Annotated[str | None, typer.Option(help="If it is not 'question'.")] = None,
    answer_column: Annotated[str | None, typer.Option(help="If it is not 'answer'.")] = None,
    ttl: Annotated[str | None, typer.Option(help="How long they may be served: 30d.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace answers that are there.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Store questions and answers that are known already, so that the first user hits.

    --model-of names what your program asks (module:name; a LangChain model or chain, a LlamaIndex
    LLM or engine, a function of a question). It is asked with each answer in hand, so entries get
    the very keys of its calls, and no model runs. Without it the answers are those of
    cache.get(question). Interrupted, it is done again to go on.
    """
    from semcache_core.exchange import read_pairs
    from semcache_core.units import in_seconds

    pairs = read_pairs(file, question_column, answer_column)
    if ttl is not None:
        seconds: Any = in_seconds("--ttl", ttl)
        pairs = [Known(one.question, one.answer, one.tokens, one.ttl or seconds) for one in pairs]
    how = {"embedder": embedder, "namespace": namespace}
    program = (model_of, system)
    told = warmed(where, pairs, program, exact=exact, overwrite=overwrite, **how)
    if json:
        print_json(told)
        return
    console.print(_said(told), markup=False)
    if model_of is None:
        aside.print("These answer cache.get(question); for a model's calls see --model-of.")


def warmed(
    where: str,
    pairs: Sequence[Known],
    program: tuple[str | None, str | None],
    *,
    exact: str | None = None,
    overwrite: bool = False,
    **how: Any,
) -> dict[str, Any]:
    """Store the pairs; what was done. Raises `ConfigError`."""
    name, system = program
    if system is not None and name is None:
        raise ConfigError("--system goes with --model-of")
    if exact is not None and name is not None:
        raise ConfigError("--exact and --model-of contradict one another: give one of them")
    asked = imported(name) if name else None
    kind = cache_class(asked) if name else None
    given = {"exact": _exact(exact), "system": system, "overwrite": overwrite}
    with (
        cache_at(where, kind, new=True, **how) as cache,
        progress("storing", len(pairs), GO_ON) as tell,
    ):
        return asdict(cache.warm(pairs, asked, progress=lambda now: tell(now.pairs), **given))


def _exact(text: str | None) -> Any:
    try:
        return None if text is None else json_module.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"--exact: {text!r} is not JSON ({error}); a text stands in quotes: '\"gpt-4o\"'"
        ) from None


def _said(told: dict[str, Any]) -> str:
    return str(Warmed(**told))
