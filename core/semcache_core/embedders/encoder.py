"""A model that is already loaded: a `SentenceTransformer`, or whatever encodes texts like one."""

from __future__ import annotations

import hashlib
import sys
import threading
from typing import Any

from semcache_core.embedders._foreign import ForeignEmbedder, described
from semcache_core.steps import Flow, blocking


class EncoderEmbedder(ForeignEmbedder):
    """Around a model's `encode`. The identity is a hash of its weights if it has any.

    Giving `make_embedder` the model's name or folder instead is faster: onnxruntime runs it then,
    and its own tokenizer tells what fits.
    """

    def __init__(self, target: Any, *, identity: str | None = None, **options: Any) -> None:
        known = identity or f"{type(self).__name__}:{described(target)}{_weights(target)}"
        super().__init__(target, identity=known, **options)
        self._lock = threading.Lock()

    def _vectors(self, texts: list[str]) -> Flow[Any]:
        return blocking(self._encode, texts)

    def _encode(self, texts: list[str]) -> Any:
        with self._lock:  # tokenizers are set anew in every call
            return self._target.encode(texts)


def _weights(target: Any) -> str:
    if not callable(getattr(target, "state_dict", None)):
        return ""
    torch: Any = sys.modules["torch"]  # whoever has weights has loaded it
    found = hashlib.sha256()
    for name, tensor in sorted(target.state_dict().items()):
        found.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return ":" + found.hexdigest()
