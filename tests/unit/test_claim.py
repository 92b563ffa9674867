"""Vectors of different embedders are never compared, also where only a lambda made them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_values import unit

from semcache_core import SemanticCache
from semcache_core.embedders import make_embedder
from semcache_core.entries.memory import MemoryEntries
from semcache_core.errors import ConfigError, IncompatibleError
from semcache_core.store.claim import Claim


def embedding(dimension: int, seed: int = 0) -> Callable[[list[str]], Any]:
    """A lambda as users write it: all have one name."""
    return lambda texts: np.stack([unit(seed + len(text), dimension) for text in texts])


def test_lambdas_of_different_dimension(tmp_path: Path) -> None:
    """The second one is refused when the cache is opened, with both dimensions named."""
    with SemanticCache(tmp_path, embedder=embedding(8)) as cache:
        cache.put("question", "answer")
    with pytest.raises(IncompatibleError, match=r"dimension 8, .*dimension 16.*another path"):
        SemanticCache(tmp_path, embedder=embedding(16))
    with SemanticCache(tmp_path, embedder=embedding(8)) as again:
        assert again.get("question") == "answer"


def test_lambdas_of_one_dimension(tmp_path: Path) -> None:
    """Another function of the same name and dimension gives other vectors: refused as well."""
    with SemanticCache(tmp_path, embedder=embedding(8)) as cache:
        cache.put("question", "answer")
    with pytest.raises(IncompatibleError, match="another embedder of the same name"):
        SemanticCache(tmp_path, embedder=embedding(8, seed=100))


def test_named_embedders_are_not_probed(tmp_path: Path) -> None:
    """An identity of the user's is believed, and nothing is embedded for its sake."""
    calls: list[str] = []

    def embed(texts: list[str]) -> Any:
        calls.extend(texts)
        return np.stack([unit(len(text)) for text in texts])

    for _ in range(2):
        named = make_embedder(embed, identity="mine-1")
        with SemanticCache(tmp_path, embedder=named) as cache:
            cache.put("question", "answer")
    assert set(calls) == {"question"}


def test_dimension_of_a_named_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What shows only with the first vector is a counted miss with a line in the log."""
    with SemanticCache(tmp_path, embedder=make_embedder(embedding(8), identity="m")) as cache:
        cache.put("question", "answer")
    with SemanticCache(tmp_path, embedder=make_embedder(embedding(16), identity="m")) as other:
        assert other.get("a question") is None
        assert not other.put("a question", "wrong")
        assert other.get("question") == "answer"  # the same prompt: no vectors are compared
        assert other.stats().errors == {"IncompatibleError": 2}
    lines = [r for r in caplog.records if "dimension 8" in r.getMessage()]
    assert lines and all(r.levelno == logging.WARNING and not r.exc_info for r in lines)


def test_two_open_at_once(tmp_path: Path) -> None:
    """Who was opened before the other's first put finds out at the first lookup."""
    first = SemanticCache(tmp_path, embedder=embedding(8))
    second = SemanticCache(tmp_path, embedder=embedding(8, seed=100), poll=0.0)
    assert first.put("question", "answer")
    assert second.get("another question") is None
    assert not second.put("another question", "wrong")
    assert second.stats().errors == {"IncompatibleError": 2}
    first.close()
    second.close()


def test_clear_ends_the_claim(tmp_path: Path) -> None:
    """An emptied cache is anybody's."""
    with SemanticCache(tmp_path, embedder=embedding(8)) as cache:
        cache.put("question", "answer")
        cache.clear()
    with SemanticCache(tmp_path, embedder=embedding(16)) as other:
        assert other.put("question", "answer")
        assert other.get("question") == "answer"


def test_embedder_out_of_reach(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache opens while its embedder is down, and exact matches are served."""
    with SemanticCache(tmp_path, embedder=embedding(8)) as cache:
        cache.put("question", "answer")

    def down(texts: list[str]) -> Any:
        raise ConnectionError("no route")

    down.__qualname__ = embedding(8).__qualname__
    down.__module__ = embedding(8).__module__
    with SemanticCache(tmp_path, embedder=down) as again:
        assert again.get("question") == "answer"
    assert "cannot be checked now" in caplog.text


def test_unreadable_probe() -> None:
    """A probe that is no base64 says nothing, and the rest of the claim still counts."""
    record = MemoryEntries()
    claim = Claim(record, "name", lambda: unit(1))
    claim.stake(unit(1))
    record.set_meta("probe", "not base64!")
    assert Claim(record, "name", lambda: unit(2)).check(8)
    with pytest.raises(ConfigError, match="dimension 8"):
        Claim(record, "name", lambda: unit(2)).check(9)
