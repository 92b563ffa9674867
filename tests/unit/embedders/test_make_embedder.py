"""From whatever the user has to an embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import imported_by, packaged_minilm, tiny_model

import semcache_core.embedders as embedders
from semcache_core.embedders import (
    CachingEmbedder,
    CachingTokenEmbedder,
    CallableEmbedder,
    EncoderEmbedder,
    HashEmbedder,
    LangChainEmbedder,
    OnnxEmbedder,
    make_embedder,
)
from semcache_core.errors import ConfigError
from semcache_core.protocols import Embedder, TokenEmbedder


def test_the_default_is_minilm_on_onnx() -> None:
    """Nothing, the name and the folder mean the same model; it is not loaded for that."""
    found = [make_embedder(spec) for spec in (None, "all-MiniLM-L6-v2", packaged_minilm())]
    for each in [*found, make_embedder(str(packaged_minilm()))]:
        assert isinstance(each, CachingTokenEmbedder)
        assert isinstance(each.inner, OnnxEmbedder)
        assert each.inner._engine is None
        assert each.identity == found[0].identity
        assert isinstance(each, TokenEmbedder)


def test_an_embedder_is_wrapped_and_keeps_its_identity() -> None:
    """An embedder of the user's own is taken as it is; one without tokens shows none."""
    inner = HashEmbedder()
    made = make_embedder(inner)
    assert type(made) is CachingEmbedder
    assert made.inner is inner
    assert made.identity == inner.identity
    assert not isinstance(made, TokenEmbedder)


def test_what_is_wrapped_is_not_wrapped_again() -> None:
    """The user's own wrapper stays, with its sizes."""
    mine = CachingEmbedder(HashEmbedder(), cache_size=3)
    assert make_embedder(mine) is mine


def test_recognising_an_embedder_runs_none_of_its_properties() -> None:
    """To ask `isinstance` would load the model."""

    class Dear:
        identity = property(lambda self: 1 / 0)
        dimension = property(lambda self: 1 / 0)

        def fits(self, text: str) -> bool:
            raise AssertionError

        embed = aembed = fits

    assert isinstance(make_embedder(Dear()), CachingEmbedder)


def test_others_embedders_are_adapted() -> None:
    """Objects of frameworks and functions get their adapter, and the options reach it."""

    class Theirs:
        def embed_query(self, text: str) -> Any:
            return [1.0, 2.0]

        def embed_documents(self, texts: list[str]) -> Any:
            return [[1.0, 2.0] for _ in texts]

        async def aembed_query(self, text: str) -> Any:
            return [1.0, 2.0]

        aembed_documents = aembed_query

    framework, function = make_embedder(Theirs()), make_embedder(len, identity="x", window=7)
    assert isinstance(framework, CachingEmbedder)
    assert isinstance(framework.inner, LangChainEmbedder)
    assert isinstance(function, CachingEmbedder)
    assert isinstance(function.inner, CallableEmbedder)
    assert function.identity == "x"
    assert function.fits("x" * 14)
    assert not function.fits("x" * 15)


def test_a_loaded_model_is_used(tmp_path: Path) -> None:
    """A `SentenceTransformer` of the user's own encodes; its weights are its identity."""
    from semcache_core.embedders.sentence_transformers import load

    models = [load(tiny_model(tmp_path / str(seed), seed=seed), "cpu") for seed in (0, 1)]
    first, second = (make_embedder(model) for model in models)
    assert isinstance(first, CachingEmbedder)
    assert isinstance(first.inner, EncoderEmbedder)
    assert first.identity != second.identity
    assert first.identity == make_embedder(models[0]).identity
    assert make_embedder(models[0], identity="mine").identity == "mine"
    rows = first.embed(["How do I reset my password?"])
    assert rows.shape == (1, 32)
    assert first.fits("x" * 64)
    assert not first.fits("x" * 65)


def test_an_encoder_without_weights_is_used() -> None:
    """Whatever encodes texts in that way will do; it goes by its class."""

    class Encoder:
        def get_sentence_embedding_dimension(self) -> int:
            return 2

        def encode(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 2))

    made = make_embedder(Encoder())
    assert made.embed(["a", "b"]).shape == (2, 2)
    assert made.identity.endswith("Encoder")


@pytest.mark.parametrize("spec", [42, 1.5, object(), b"bytes", ["a"], {"model": "x"}, dict, True])
def test_anything_else_is_refused(spec: Any) -> None:
    """The error names the argument, what was given, and what is accepted, and shows no values."""
    with pytest.raises(
        ConfigError, match=r"embedder: .* was given; it is None, the name"
    ) as raised:
        make_embedder(spec)
    assert type(spec).__name__ in str(raised.value)
    assert "'x'" not in str(raised.value)


def test_cache_size_is_handed_on() -> None:
    """And checked there."""
    with pytest.raises(ConfigError, match="cache_size"):
        make_embedder(HashEmbedder(), cache_size=-1)


def test_public_names_are_sorted_and_there() -> None:
    """`__all__` is what the package shows."""
    assert sorted(embedders.__all__) == list(embedders.__all__)
    assert all(getattr(embedders, name) for name in embedders.__all__)


def test_importing_is_cheap() -> None:
    """No heavy package is imported before it is used."""
    assert imported_by("import semcache_core.embedders") == []


def test_every_embedder_satisfies_the_protocol() -> None:
    """What `make_embedder` returns is an `Embedder` for the type checker and at run time."""
    made: Embedder = make_embedder(HashEmbedder(8))
    assert isinstance(made, Embedder)
