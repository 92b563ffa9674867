"""What was learnt of one evaluator's scores is not taken for another's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import IncompatibleError
from semcache_core.evaluation import Pair, calibrate
from semcache_core.evaluators import (
    BM25,
    Cosine,
    CrossEncoderEvaluator,
    Guards,
    KReciprocal,
    SequenceMatch,
    Stage,
    TimeDecay,
    Verifier,
    all_of,
    any_of,
    cascade,
    default_evaluator,
    guarded,
    required,
    weighted,
)
from semcache_core.evaluators._base import identity
from semcache_core.evaluators.verifier import load as coefficients
from semcache_core.evaluators.verifier._features import SIGNS
from semcache_core.keys import digest
from semcache_core.protocols import Evaluator

EMBEDDER = HashEmbedder()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Coefficients that somebody trained."""
    model = coefficients()
    weights = dict(zip(SIGNS, model.weights, strict=True))
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"intercept": model.intercept - 1, "weights": weights}))
    return path


PAIRS: list[tuple[Callable[[], Evaluator], Callable[[], Evaluator]]] = [
    (Guards, lambda: Guards("strict")),
    (lambda: guarded(Guards(), Cosine()), Cosine),
    (lambda: guarded(Guards(), Cosine()), lambda: guarded(Guards("core"), Cosine())),
    (lambda: default_evaluator(EMBEDDER), Verifier),
    (lambda: default_evaluator(EMBEDDER), lambda: default_evaluator(EMBEDDER, "strict")),
    (lambda: required(Cosine(), 0.5), lambda: required(Cosine(), 0.6)),
    (lambda: all_of(Cosine()), lambda: any_of(Cosine())),
    (lambda: all_of(Cosine()), lambda: all_of(Cosine(), BM25())),
    (
        lambda: weighted([Cosine(), BM25()], [1, 2]),
        lambda: weighted([Cosine(), BM25()], [2, 1]),
    ),
    (
        lambda: cascade(Stage(Cosine(), 0.1, 0.9), Stage(Verifier())),
        lambda: cascade(Stage(Cosine(), 0.1, 0.8), Stage(Verifier())),
    ),
    (BM25, lambda: BM25(b=0.5)),
    (lambda: TimeDecay(max_age=9), lambda: TimeDecay(half_life=9)),
    (lambda: KReciprocal(lambda e, k: [], 2), lambda: KReciprocal(lambda e, k: [], 3)),
    (lambda: SequenceMatch(EMBEDDER), lambda: SequenceMatch(EMBEDDER, worst=0.5)),
    (lambda: CrossEncoderEvaluator("a"), lambda: CrossEncoderEvaluator("b")),
]


@pytest.mark.parametrize(("one", "another"), PAIRS)
def test_what_changes_scores_changes_the_identity(
    one: Callable[[], Evaluator], another: Callable[[], Evaluator]
) -> None:
    """Guards, parts, weights, zones and models count; two that are made alike are one."""
    assert identity(one()) == identity(one())
    assert identity(one()) != identity(another())


def test_coefficients_count(other: Path) -> None:
    """A verifier that was trained anew is another one, wherever it is inside."""
    assert identity(Verifier()) != identity(Verifier(other))
    inside = [guarded(Guards(), all_of(Verifier(path))) for path in (None, other)]
    assert identity(inside[0]) != identity(inside[1])


def test_a_foreign_evaluator_is_its_name() -> None:
    """The protocol asks for no identity."""

    class Foreign:
        name = "foreign"

    assert identity(Foreign()) == "foreign"  # type: ignore[arg-type]  # enough of one


def learnt(path: Path, evaluator: Evaluator) -> str:
    """What a cache's policy knows once it is opened."""
    how = {"max_false_hit_rate": 0.1, "evaluator": evaluator, "embedder": EMBEDDER}
    with SemanticCache(path, **how) as cache:  # type: ignore[arg-type]  # a mapping of arguments
        return str(cache.stats().budget)


def test_learnt_state_is_not_carried_over_to_other_guards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not under the bare name either, where it was kept before."""
    names = {identity(guarded(Guards(p), Verifier())) for p in ("core", "safe", "strict")}
    assert len({digest(name) for name in [*names, "verifier"]}) == 4
    restored: list[str] = []
    from semcache_core.policies import VerifiedPolicy

    monkeypatch.setattr(VerifiedPolicy, "restore", lambda self, state: restored.append(state))
    from semcache_core.store import Store

    kept = {f"policy {digest(name)[:16]}": name for name in [*names, "verifier"]}
    monkeypatch.setattr(Store, "meta", lambda self, name: kept.get(name))
    learnt(tmp_path / "c", guarded(Guards("strict"), Verifier()))
    assert restored == [identity(guarded(Guards("strict"), Verifier()))]


def test_a_saved_threshold_is_refused_by_other_guards(tmp_path: Path) -> None:
    """And a file that says the bare name only, as it was before."""
    pairs = [Pair(f"pay bill {i} now", f"pay bill {i} now please", same=True) for i in range(200)]
    found = calibrate(pairs, 0.1, embedder=EMBEDDER, floor=0.1)
    file = tmp_path / "p.json"
    file.write_text(json.dumps(found.to_dict()))
    policy = {"kind": "saved", "file": str(file)}
    made = load({"policy": policy}, {"embedder": EMBEDDER}).arguments()["policy"]
    assert made.threshold == found.calibration.threshold
    strict = {"kind": "default", "guards": "strict"}
    with pytest.raises(IncompatibleError, match=r"evaluator 'turns.*calibrate anew"):
        load({"policy": policy, "evaluator": strict}, {"embedder": EMBEDDER}).arguments()
    bare = found.to_dict()
    bare["scores_of"]["evaluator"] = "verifier"
    file.write_text(json.dumps(bare))
    with pytest.raises(IncompatibleError, match=r"evaluator 'verifier'.*calibrate anew"):
        load({"policy": policy}, {"embedder": EMBEDDER}).arguments()
