"""k-reciprocal neighbours among a cache's own entries, also from a configuration."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from semcache_core.cache import SemanticCache
from semcache_core.errors import EvaluatorError, IncompatibleError
from semcache_core.evaluators import Cosine, KReciprocal, all_of
from semcache_core.models import Candidate, Entry, Query


class Degrees:
    """An embedder of questions such as "at 10 degrees"."""

    identity = "degrees"
    dimension = 2

    def fits(self, text: str) -> bool:
        return True

    def embed(self, texts: list[str]) -> np.ndarray:
        angles = [math.radians(float(text.split()[1])) for text in texts]
        return np.array([[math.cos(a), math.sin(a)] for a in angles], np.float32)

    async def aembed(self, texts: list[str]) -> np.ndarray:
        return self.embed(texts)


def filled(cache: SemanticCache) -> SemanticCache:
    """Three questions close together, and one alone."""
    for degrees in (0, 1, 2, 60):
        cache.put(f"at {degrees} degrees", f"{degrees}")
    return cache


def test_a_configuration_names_it(tmp_path: Path) -> None:
    """Where an entry's own neighbours are nearer than the question is, it misses."""
    (tmp_path / "cache.yaml").write_text("evaluator: {kind: k-reciprocal, k: 2}\n")
    with filled(SemanticCache.from_config(tmp_path / "cache.yaml", embedder=Degrees())) as cache:
        assert cache.get("at 0.5 degrees") in ("0", "1")
        assert cache.get("at 6 degrees") is None  # 0 and 1 are nearer to 2 than 6 is
        assert cache.get("at 64 degrees") == "60"  # as far, and only one is as near as that
        assert "nearer to it than the query" in str(cache.explain("at 6 degrees"))


def test_it_is_found_within_combinations() -> None:
    """The cache joins it however deep it is."""
    evaluator = all_of(Cosine(), KReciprocal.of_cache())
    with filled(SemanticCache(embedder=Degrees(), evaluator=evaluator, threshold=0.9)) as cache:
        assert cache.get("at 6 degrees") is None
        assert cache.get("at 64 degrees") == "60"


def test_it_belongs_to_one_cache() -> None:
    """In a second cache it would look among the entries of the first; in none there are none."""
    lonely = KReciprocal.of_cache()
    entry = Entry("k", "s", "", b"", 0.0, "at 1 degrees", np.array([1, 0], np.float32))
    with pytest.raises(EvaluatorError, match="in no cache"):
        lonely.score(Query("at 1 degrees", np.array([1, 0])), [Candidate(entry, 1.0)])
    with SemanticCache(embedder=Degrees(), evaluator=lonely):
        pass
    with pytest.raises(IncompatibleError, match="make one a cache"):
        SemanticCache(embedder=Degrees(), evaluator=lonely)
