"""An exported model: onnxruntime and tokenizers alone, so neither torch nor transformers load."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semcache_core.embedders._window import Window
from semcache_core.errors import ConfigError
from semcache_core.models import Matrix

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # ships no types

SENTENCE = "sentence_embedding"
TOKENS = "token_embeddings"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
ABOUT_FILE = "about.json"
PROBE = "How do I reset my password?"
"""What a graph embeds when it is opened, to be compared with what torch made of it."""
_PIECES_A_RUN = 1024
"""Word pieces, padding included: more fill the processor's caches, fewer leave it idle."""
_MAX_THREADS = 4
"""More do not make one short question faster."""

Ids = NDArray[np.int64]


class Graph:
    """Texts to raw vectors. Thread-safe; runs without the GIL."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        about = json.loads((folder / ABOUT_FILE).read_bytes())
        tokenizer = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
        self.window = Window.parse(tokenizer, about["window"], about["prompt"])
        self._pad: int = about["pad"]
        self._probe = np.array(about["probe"], np.float32)
        self._floor: float = about["floor"]
        self._session = _session(folder / MODEL_FILE, threads)
        self._inputs = tuple(each.name for each in self._session.get_inputs())

    def sound(self) -> bool:
        """Whether it still computes what torch computed when it was made."""
        (row,) = self.embed([PROBE])
        return bool(row @ self._probe >= self._floor * np.linalg.norm(row))

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), not normalised here."""
        pieces = [self.window.encode(text).ids for text in texts]
        if len(pieces) == 1:
            return self._run(SENTENCE, pieces)
        runs = [(chunk, self._run(SENTENCE, [pieces[i] for i in chunk])) for chunk in _runs(pieces)]
        rows = np.empty((len(texts), runs[0][1].shape[1]), np.float32)
        for chunk, found in runs:
            rows[chunk] = found
        return rows

    def embed_tokens(self, text: str) -> Matrix:
        """Shape (pieces without special ones, dimension), not normalised here."""
        encoding = self.window.encode(text)
        kept = np.array(encoding.special_tokens_mask) == 0
        (rows,) = self._run(TOKENS, [encoding.ids])
        return np.asarray(rows[kept], np.float32)

    def _run(self, output: str, pieces: Sequence[Sequence[int]]) -> Matrix:
        ids, mask = _padded(pieces, self._pad)
        known: dict[str, Ids] = {"input_ids": ids, "attention_mask": mask}
        feed = {name: known[name] if name in known else np.zeros_like(ids) for name in self._inputs}
        found: list[Matrix] = self._session.run([output], feed)
        return found[0]


def _padded(pieces: Sequence[Sequence[int]], pad: int) -> tuple[Ids, Ids]:
    if len(pieces) == 1:
        ids = np.array(pieces, np.int64)
        return ids, np.ones_like(ids)
    shape = len(pieces), max(map(len, pieces))
    ids, mask = np.full(shape, pad, np.int64), np.zeros(shape, np.int64)
    for row, each in enumerate(pieces):
        ids[row, : len(each)] = each
        mask[row, : len(each)] = 1
    return ids, mask


def _runs(pieces: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices that are run together: texts of like length, so that little is padding."""
    chunk: list[int] = []
    for index in sorted(range(len(pieces)), key=lambda i: len(pieces[i])):
        if chunk and (len(chunk) + 1) * len(pieces[index]) > _PIECES_A_RUN:
            yield chunk
            chunk = []
        chunk.append(index)
    yield chunk


def _session(model: Path, threads: int | None) -> InferenceSession:
    # Read at import. Without it, a version of 2026 keeps a device id and calls home.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(_MAX_THREADS, _cpus())
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: a library does not write to the console
    # Threads that spin during a run halve its time; those that went on spinning afterwards would
    # take the processor from the application.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        str(model),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion"],  # slower on a CPU than what it replaces
    )


def _cpus() -> int:
    """Those that this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Raises `ConfigError`."""
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"threads: {threads!r} was given; it is a whole number of at least 1")
