"""A gate for a build: it fails when a cache would serve a near miss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.evaluation.examples import Pair, read_examples
from semcache_core.evaluation.measuring import evaluate
from semcache_core.evaluation.pupils import Still
from semcache_core.evaluation.report import Mistake, Report
from semcache_core.evaluation.traps import traps

_SHOWN = 20


def check_traps(
    cache: Any = None,
    pairs: Sequence[Pair] | str | Path | None = None,
    *,
    allowed: float = 0.0,
    kept: float = 0.0,
) -> Report:
    """Raise `AssertionError`, naming each, if near misses are served.

    `cache`: any of the SemanticCache classes, whose embedder, evaluator and policy decide; None:
    the defaults. Nothing is looked up in it, stored or learnt. `pairs`: labelled pairs, a file of
    them (`read_examples`), or None for the pairs of `traps()`. `allowed`: the share of the near
    misses that may be served; `kept`: the share of the paraphrases that has to be. Raises
    `ConfigError` for pairs that cannot be read or hold no near miss, and for what is no share.
    """
    _check(allowed=allowed, kept=kept)
    report = evaluate(_labelled(pairs), **_parts(cache))
    if report.answerable == report.lookups:
        raise ConfigError("pairs: none of them is a near miss (same: false)")
    served = [one for one in report.mistakes if one.served]
    share = 1.0 - report.rejected.value
    if share > allowed:
        told = "\n".join(map(_told, served[:_SHOWN]))
        raise AssertionError(
            f"{len(served)} near misses are served: {share:.1%}, allowed {allowed:.1%}\n{told}"
        )
    if report.answerable and report.recall.value < kept:
        raise AssertionError(f"paraphrases served: {report.recall}; {kept:.1%} have to be")
    return report


def _check(**shares: float) -> None:
    for name, value in shares.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"{name}: {value!r} was given; give a share, from 0 to 1")


def _told(one: Mistake) -> str:
    return (
        f"{one.kind or 'near miss'}: {one.query!r} got the answer to {one.stored!r}"
        f" (score {one.value:.3f}, cosine {one.similarity:.3f})"
    )


def _labelled(pairs: Sequence[Pair] | str | Path | None) -> Sequence[Pair]:
    if pairs is None:
        return traps()
    found = read_examples(pairs) if isinstance(pairs, str | Path) else pairs
    if any(not isinstance(one, Pair) for one in found):
        raise ConfigError("pairs: a stream was given; give pairs (query, stored, same)")
    return [one for one in found if isinstance(one, Pair)]


def _parts(cache: Any) -> dict[str, Any]:
    if cache is None:
        return {}
    parts = getattr(cache, "_parts", None)
    if parts is None:
        raise ConfigError(f"cache: {cache!r} was given; give a SemanticCache")
    names = ("embedder", "evaluator", "policy")
    found = {name: getattr(parts, name) for name in names}
    # As it serves now: pairs that were picked for being hard are no sample to learn from.
    return found | {"policy": Still(found["policy"])}
