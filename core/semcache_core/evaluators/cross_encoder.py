"""A cross-encoder of sentence-transformers, asked in the grey zone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from semcache_core.errors import ConfigError, EvaluatorError, MissingDependency
from semcache_core.evaluators._base import described
from semcache_core.evaluators._grey import GreyZoneEvaluator, Zone
from semcache_core.models import Candidate, Query

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

RETRY = 60.0
"""Seconds until a model that could not be loaded is tried again: a lookup in between fails at once,
with the same error, instead of asking the hub or the disk anew."""

DEFAULT_MODEL = "cross-encoder/quora-distilroberta-base"


class CrossEncoderEvaluator(GreyZoneEvaluator):
    """Reads query and stored question together: dearer and often better than two embeddings.

    `model` is a name, a folder, or a `CrossEncoder` with one label whose outputs are
    probabilities, or logits that its own activation function (the sigmoid) turns into such; a
    named model is loaded when first asked, and one that cannot be is tried again a minute later at
    the earliest. `backend` is "torch", or "onnx": exported on loading and
    run by onnxruntime. Reimers and Gurevych
    2019, "Sentence-BERT", section 4, on why pairs read together are judged better.
    """

    recommended_threshold = 0.9  # a cosine outside of the grey zone, a probability in it

    def __init__(
        self,
        model: str | Path | CrossEncoder = DEFAULT_MODEL,
        *,
        grey_zone: Zone = (0.7, 0.97),
        backend: Literal["torch", "onnx"] = "torch",
        batch_size: int = 32,
    ) -> None:
        """Raise `ConfigError` for an unknown backend, an empty grey zone, a folder not there."""
        super().__init__(grey_zone)
        if backend not in {"torch", "onnx"}:
            raise ConfigError(f"backend={backend!r}: use 'torch' or 'onnx'")
        _check_there(model)
        self._spec = model
        self._backend = backend
        self._batch_size = batch_size
        self._model: Any = None if isinstance(model, str | Path) else model
        self._failed = ""
        self._retry_at = 0.0
        self._lock = Lock()

    @property
    def name(self) -> str:
        return "cross_encoder"

    @property
    def identity(self) -> str:
        return described(self.name, _called(self._spec), self._backend, self.grey_zone)

    def _judge(self, query: Query, candidates: Sequence[Candidate]) -> list[float]:
        pairs = [(query.text, one.entry.query or "") for one in candidates]
        # The tokenizers of transformers keep state between calls: one thread at a time.
        with self._lock:
            scores = self._loaded().predict(
                pairs, batch_size=self._batch_size, show_progress_bar=False
            )
        return [_probability(score) for score in scores]

    def _loaded(self) -> Any:
        if self._model is None:
            if self._failed and monotonic() < self._retry_at:
                repeated = EvaluatorError(self._failed)
                repeated.again = True
                raise repeated
            try:
                self._model = self._load()
            except MissingDependency:
                raise
            except Exception as error:  # whatever the hub, the disk or the model's files do
                self._failed = _cannot_load(self._spec, error)
                self._retry_at = monotonic() + RETRY
                raise EvaluatorError(self._failed) from error
        return self._model

    def _load(self) -> Any:
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise MissingDependency(
                "CrossEncoderEvaluator", "sentence-transformers", "local"
            ) from error
        return _on(self._backend, CrossEncoder(str(self._spec)))


def _check_there(model: Any) -> None:
    """Refuse what can only be a folder and is none; whether a name is on the hub, loading tells."""
    if not isinstance(model, str | Path):
        return
    folder = isinstance(model, Path) or model.startswith(("/", "./", "../", "~"))
    if folder and not Path(model).is_dir():
        raise ConfigError(f"model={str(model)!r}: there is no such folder")


def _cannot_load(model: Any, error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return (
        f"cross_encoder: the model {_called(model)!r} cannot be loaded ({text}); give a folder, or"
        f" a name on the hub; it is tried again in {RETRY:.0f} seconds"
    )


def _called(model: Any) -> str:
    """A name or a folder as given; of a loaded model what its configuration says it is."""
    if isinstance(model, str | Path):
        return str(model)
    config = getattr(getattr(model, "model", None), "config", None)
    return str(getattr(config, "_name_or_path", "") or type(model).__qualname__)


def _on(backend: str, encoder: Any) -> Any:
    if backend == "torch":
        return encoder
    from semcache_core.evaluators._onnx_pairs import OnnxPairs

    return OnnxPairs(encoder)


def _probability(score: Any) -> float:
    value = float(score)
    if not math.isfinite(value):
        raise ValueError(f"the model returned {value}")
    if not 0.0 <= value <= 1.0:
        raise ValueError(
            f"the model returned {value}, no probability: load it with"
            " activation_fn=torch.nn.Sigmoid()"
        )
    return value
