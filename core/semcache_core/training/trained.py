"""Train a verifier or a cross-encoder, and say how much it helps on pairs kept back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from semcache_core.embedders import make_embedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation import Pair, Report, evaluate
from semcache_core.evaluators import CrossEncoderEvaluator, Guards, Verifier, guarded
from semcache_core.protocols import Embedder, Evaluator
from semcache_core.training._cross_encoder import BASE, fit_cross_encoder
from semcache_core.training._verifier import fit_verifier

Kind = Literal["verifier", "cross_encoder"]
KINDS = ("verifier", "cross_encoder")
FEWEST = 10
"""Pairs of each label that are needed at least."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What was trained, and how it does on the pairs kept back."""

    kind: Kind
    path: Path
    """The file of coefficients, or the folder of the cross-encoder."""
    learnt_from: int
    before: Report
    """The default evaluator on the pairs kept back, and `after`: the trained one."""
    after: Report

    def evaluator(self) -> Evaluator:
        """The trained evaluator behind the default guards, for `SemanticCache(evaluator=...)`."""
        return _evaluator(self.kind, self.path)


def train(
    pairs: Sequence[Pair],
    path: str | Path,
    *,
    kind: Kind = "verifier",
    embedder: Any = None,
    base: str | Path = BASE,
    epochs: int = 2,
    held_out: float = 0.2,
    seed: int = 0,
) -> Trained:
    """Fit the verifier's coefficients, or fine-tune a cross-encoder, and write it to `path`.

    `verifier`: a JSON file; the shipped coefficients are where it starts, so that few pairs change
    little. `cross_encoder`: a folder; `base` is the model to start from and `epochs` how often each
    pair is seen; needs the extra "local". The share `held_out` of the pairs, drawn with `seed`, is
    not trained on. The folder that it is written into has to be there, as with every other file
    that semcache writes for you. Raises `ConfigError` for arguments or pairs that cannot work.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind={kind!r}: give one of {', '.join(KINDS)}")
    learnt, kept_back = _split(pairs, held_out, seed)
    target = Path(path).expanduser()
    if not target.parent.is_dir():
        raise ConfigError(f"path: the folder of {str(path)!r} does not exist")
    made = make_embedder(embedder)
    if kind == "verifier":
        fit_verifier(learnt, target, made)
    else:
        fit_cross_encoder(learnt, target, base=base, epochs=epochs, seed=seed)
    return _compared(kind, target, len(learnt), kept_back, made)


def _compared(
    kind: Kind, path: Path, learnt: int, kept_back: Sequence[Pair], embedder: Embedder
) -> Trained:
    before = evaluate(kept_back, embedder=embedder)
    after = evaluate(kept_back, embedder=embedder, evaluator=_evaluator(kind, path))
    return Trained(kind, path, learnt, before, after)


def _evaluator(kind: Kind, path: Path) -> Evaluator:
    scorer = Verifier(path) if kind == "verifier" else CrossEncoderEvaluator(path)
    return guarded(Guards("core"), scorer)


def _split(pairs: Sequence[Pair], held_out: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    if not 0.0 < held_out < 1.0:
        raise ConfigError(f"held_out={held_out!r}: give a share between 0 and 1, such as 0.2")
    labels = [sum(one.same for one in pairs), sum(not one.same for one in pairs)]
    if min(labels) < FEWEST:
        raise ConfigError(
            f"pairs: {labels[0]} that are the same and {labels[1]} that are not;"
            f" at least {FEWEST} of each are needed"
        )
    mixed = list(pairs)
    random.Random(seed).shuffle(mixed)  # noqa: S311  # a split, no secret
    back = max(1, round(held_out * len(mixed)))
    return mixed[back:], mixed[:back]
