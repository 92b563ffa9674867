"""`semcache evaluate`, `semcache calibrate` and `semcache train`: on labelled questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcache_core.cli._options import AsJson, Embedder, Threshold
from semcache_core.cli._output import aside, console, print_json, progress, short, table
from semcache_core.errors import ConfigError

if TYPE_CHECKING:
    from semcache_core.evaluation import Examples, Report
    from semcache_core.flow import Parts
    from semcache_core.labels import Label

LabelledOrCache = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="JSON, CSV or TSV: query, stored, same; or a stream: text, group; or the folder of a "
        "cache that ran with shadow=True.",
    ),
]
Settings = Annotated[
    str | None, typer.Option("--config", help="Whose embedder, evaluator and policy are taken.")
]
Output = Annotated[str | None, typer.Option("--output", "-o", help="Where it is saved.")]


def evaluate(
    file: LabelledOrCache,
    *,
    config: Settings = None,
    embedder: Embedder = None,
    threshold: Threshold = None,
    mistakes: Annotated[int, typer.Option(min=0, help="So many mistakes are shown.")] = 10,
    min_precision: Annotated[
        float | None, typer.Option(min=0, max=1, help="Below it the exit code is 1.")
    ] = None,
    min_hit_rate: Annotated[float | None, typer.Option(min=0, max=1, help="Likewise.")] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE.png", help="Draw the P-CHR curve (matplotlib).")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say how good hits would be: hit rate, precision, recall, latency, the P-CHR curve.

    A pair is a lookup with one stored question; of a stream each question looks among all before
    it; of a shadow cache its labels are taken, each a lookup. Intervals are Wilson's, at 95%.
    """
    from semcache_core.evaluation import read_examples
    from semcache_core.evaluation.plotting import check_plot, draw

    if plot is not None:
        check_plot(plot)
    examples = None if Path(file).is_dir() else read_examples(file)
    with _parts(config, embedder, threshold) as parts:
        report = _measured(parts, _kept(file, parts) if examples is None else examples)
    if plot is not None:
        draw(report, plot)
    if json:
        print_json(report.to_dict())
    else:
        _show(report, mistakes)
    _gate(report, {"precision": min_precision, "hit_rate": min_hit_rate})


def _measured(parts: Parts, source: Examples | Sequence[Label]) -> Report:
    from semcache_core.evaluation import evaluate as measured
    from semcache_core.evaluation import evaluate_labels
    from semcache_core.labels import Label

    labels = [one for one in source if isinstance(one, Label)]
    if labels:
        return evaluate_labels(labels, evaluator=parts.evaluator, policy=parts.policy)
    examples: Any = source
    with progress("asking", None) as tell:
        return measured(
            examples,
            embedder=parts.embedder,
            evaluator=parts.evaluator,
            policy=parts.policy,
            top_k=parts.top_k,
            tell=lambda done, of: tell(done),
        )


def _show(report: Report, mistakes: int) -> None:
    console.print(str(report), markup=False, highlight=False)
    rows = [
        (
            "served" if one.served else "missed",
            short(one.query),
            short(one.stored),
            f"{one.value:.3f}",
            one.reason,
        )
        for one in report.mistakes[:mistakes]
    ]
    if rows:
        console.print(table(("mistake", "question", "stored question", "score", "why"), rows))


def _gate(report: Report, wanted: dict[str, float | None]) -> None:
    for name, least in wanted.items():
        found = getattr(report, name)
        if least is not None and not (found.whole and found.value >= least):
            aside.print(f"{name.replace('_', ' ')} {found} is below {least}")
            raise typer.Exit(1)


@contextmanager
def _parts(config: str | None, embedder: str | None, threshold: float | None) -> Iterator[Parts]:
    """The parts of a cache that holds nothing."""
    from semcache_core.cache import SemanticCache

    nothing = dict.fromkeys(("path", "entries", "url", "index", "next_cache"))
    given: dict[str, Any] = {"embedder": embedder, "threshold": threshold}
    given = {name: value for name, value in given.items() if value is not None}
    if config is not None:
        cache = SemanticCache.from_config(config, **nothing, **given)
    else:
        cache = SemanticCache(**given)
    with cache:
        yield cache._parts


def calibrate(
    file: LabelledOrCache,
    *,
    max_false_hit_rate: Annotated[float, typer.Option(help="False hits / hits, in (0, 1).")] = 0.01,
    confidence: Annotated[float, typer.Option(help="How sure that is to be.")] = 0.95,
    config: Settings = None,
    embedder: Embedder = None,
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Find the threshold that keeps a false-hit budget, and certify it (Learn-then-Test).

    --output saves it for a configuration: `policy: {kind: saved, file: policy.json}`. The labels
    are to be like the traffic: of a cache that ran with shadow=True, the labels in its record are
    taken. Without enough of them nothing is certified, and the exit code is 1.
    """
    from semcache_core.evaluation import calibrate as certified
    from semcache_core.evaluation import read_examples

    examples = None if Path(file).is_dir() else read_examples(file)
    with _parts(config, embedder, None) as parts, progress("asking", None) as tell:
        found = certified(
            _kept(file, parts) if examples is None else examples,
            max_false_hit_rate,
            confidence,
            embedder=parts.embedder,
            evaluator=parts.evaluator,
            floor=parts.policy.floor,
            top_k=parts.top_k,
            tell=lambda done, of: tell(done),
        )
    sure = found.calibration.certified
    if output is not None and sure:
        found.save(output)
    if json:
        print_json(found.to_dict() | {"certified": sure})
    else:
        console.print(str(found), markup=False, highlight=False)
        if output is not None and sure:
            console.print(f"saved: policy: {{kind: saved, file: {output}}}", markup=False)
    if not sure:
        raise typer.Exit(1)


def _kept(where: str, parts: Parts) -> list[Label]:
    """The labels in a cache's record, of these parts' scores."""
    from semcache_core.cli._record import opened
    from semcache_core.evaluators._base import identity
    from semcache_core.labels import kept_as, unpacked

    with opened(where) as record:
        made_by, kept = record.meta("embedder"), record.meta(kept_as(identity(parts.evaluator)))
    if made_by and made_by != parts.embedder.identity:
        raise ConfigError(f"embedder: this cache's is {made_by}, not {parts.embedder.identity}")
    if not kept:
        raise ConfigError(
            f"{where}: no labels for the evaluator {parts.evaluator.name!r} are in it; a cache "
            "with shadow=True keeps them, and --config says with which evaluator"
        )
    return unpacked(kept)


class Kind(str, Enum):
    """What is trained."""

    VERIFIER = "verifier"
    CROSS_ENCODER = "cross-encoder"


def train(
    file: Annotated[str, typer.Argument(help="Labelled pairs: query, stored, same.")],
    output: Annotated[str, typer.Option("--output", "-o", help="A file, or a model's folder.")],
    *,
    kind: Annotated[Kind, typer.Option(help="The light verifier, or a model.")] = Kind.VERIFIER,
    embedder: Embedder = None,
    base: Annotated[str | None, typer.Option(help="The cross-encoder to start from.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often it sees each pair.")] = 2,
    held_out: Annotated[float, typer.Option(help="Share kept back to measure on.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Draws what is kept back.")] = 0,
    json: AsJson = False,
) -> None:
    """Train an evaluator on your own labelled pairs, and measure it on pairs kept back."""
    from semcache_core.evaluation import Pair, read_examples
    from semcache_core.training import train as trained

    pairs = [one for one in read_examples(file) if isinstance(one, Pair)]
    if not pairs:
        raise ConfigError(f"{file}: this is a stream; training takes pairs: query, stored, same")
    given: dict[str, Any] = {"embedder": embedder, "epochs": epochs, "held_out": held_out}
    given |= {"seed": seed, "kind": kind.value.replace("-", "_")}
    if base is not None:
        given["base"] = base
    done = trained(pairs, output, **given)
    name = {Kind.VERIFIER: "verifier, coefficients", Kind.CROSS_ENCODER: "cross-encoder, model"}[
        kind
    ]
    settings = f"evaluator: {{kind: guarded, evaluator: {{kind: {name}: {output}}}}}"
    if json:
        reports = {"before": done.before.to_dict(), "after": done.after.to_dict()}
        print_json({"path": str(done.path), "learnt_from": done.learnt_from} | reports)
        return
    rows = [
        (name, str(report.hit_rate), str(report.precision), str(report.recall))
        for name, report in (("default", done.before), ("trained", done.after))
    ]
    console.print(f"trained on {done.learnt_from} pairs; on those kept back:")
    console.print(table(("", "hit rate", "precision", "recall"), rows))
    console.print(f"use it: {settings}", markup=False)
