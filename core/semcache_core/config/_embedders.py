"""Embedders by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from semcache_core.config._part import Building, Strict
from semcache_core.config._values import Count, Text
from semcache_core.embedders import OnnxEmbedder, SentenceTransformerEmbedder
from semcache_core.protocols import Embedder


class Onnx(Strict):
    """A sentence-transformers model, run by onnxruntime."""

    kind: Literal["onnx"] = "onnx"
    model: Text = "all-MiniLM-L6-v2"
    """Its name, or the folder that holds it."""
    dtype: Literal["float32", "int8"] = "float32"
    threads: Count | None = None
    revision: Text | None = None

    def build(self, building: Building) -> Embedder:
        given = self.given() | {"model": building.model(self.model)}
        return OnnxEmbedder(**given)


class SentenceTransformers(Strict):
    """A sentence-transformers model, run by that package."""

    kind: Literal["sentence-transformers"]
    model: Text = "all-MiniLM-L6-v2"
    """Its name, or the folder that holds it."""
    device: Text | None = None
    revision: Text | None = None

    def build(self, building: Building) -> Embedder:
        given = self.given() | {"model": building.model(self.model)}
        return SentenceTransformerEmbedder(**given)


def _by_model(value: Any) -> Any:
    """A text is a model; settings without a kind are those of the default one."""
    if isinstance(value, str):
        return {"kind": "onnx", "model": value}
    return {"kind": "onnx"} | value if isinstance(value, dict) else value


_Kinds = Annotated[Onnx | SentenceTransformers, Field(discriminator="kind")]
EmbedderPart = Annotated[_Kinds, BeforeValidator(_by_model, json_schema_input_type=str | _Kinds)]
KINDS = (Onnx, SentenceTransformers)
