"""A cross-encoder on onnxruntime: exported when it is loaded, kept in memory.

sentence-transformers' own ONNX backend needs optimum, which holds transformers at an older version.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPSET = 17
_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class OnnxPairs:
    """Scores pairs of texts as the cross-encoder it is made of: same tokens, same activation."""

    def __init__(self, encoder: Any) -> None:
        """`encoder`: a loaded `CrossEncoder` with one label. Takes a second or two."""
        # Read at import. Without it, a version of 2026 keeps a device id and calls home.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # type: ignore[import-untyped]  # it has no stubs

        self._encoder = encoder
        self._names = [name for name in _NAMES if name in self._tokens([("a", "b")], "pt")]
        self._session = onnxruntime.InferenceSession(
            self._graph(), providers=["CPUExecutionProvider"]
        )

    def predict(
        self, pairs: Sequence[tuple[str, str]], *, batch_size: int = 32, **_: Any
    ) -> NDArray[np.float32]:
        """One score a pair, as `CrossEncoder.predict` gives."""
        import torch

        batches = [pairs[at : at + batch_size] for at in range(0, len(pairs), batch_size)]
        logits = np.concatenate([self._logits(batch) for batch in batches])
        scores: NDArray[np.float32] = self._encoder.activation_fn(torch.from_numpy(logits)).numpy()
        return scores

    def _logits(self, batch: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        tokens = self._tokens(batch, "np")
        given = {name: np.asarray(tokens[name], np.int64) for name in self._names}
        found: NDArray[np.float32] = self._session.run(["logits"], given)[0].reshape(-1)
        return found

    def _tokens(self, pairs: Sequence[tuple[str, str]], kind: str) -> Any:
        left, right = [a for a, _ in pairs], [b for _, b in pairs]
        return self._encoder.tokenizer(
            left, right, padding=True, truncation=True, return_tensors=kind
        )

    def _graph(self) -> bytes:
        import torch

        model = self._encoder.model.eval().to("cpu")
        model.set_attn_implementation("eager")  # torch's own kernel traces badly
        names = self._names

        class Logits(torch.nn.Module):
            """The model as a function of tensors."""

            def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
                return model(**dict(zip(names, tensors, strict=True))).logits  # type: ignore[no-any-return]  # a tensor

        whole = Logits()
        whole.inner = model  # so that its weights belong to the graph
        tokens = self._tokens([("a b", "c"), ("d", "e f g")], "pt")
        file = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing, and that the exporter is the older one
            torch.onnx.export(
                whole,
                tuple(tokens[name] for name in names),
                file,  # type: ignore[arg-type]  # the older exporter takes a file as well
                input_names=names,
                output_names=["logits"],
                dynamic_axes={name: {0: "pair", 1: "piece"} for name in names}
                | {"logits": {0: "pair"}},
                opset_version=_OPSET,
                dynamo=False,  # the newer exporter needs onnxscript
            )
        return file.getvalue()
