"""Any sentence-transformers model on torch, which is imported at the first embedding."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semcache_core.embedders._locate import DEFAULT_MODEL, Source
from semcache_core.embedders._vectors import failing_as_embedder, plain, unit_rows
from semcache_core.embedders._window import UNBOUNDED, Window
from semcache_core.errors import MissingDependency
from semcache_core.forks import ForkedChild
from semcache_core.models import Matrix

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH = 64


class SentenceTransformerEmbedder(ForkedChild):
    """A `protocols.Embedder` and `TokenEmbedder`; what is longer than the window is cut.

    `model`: a name ("all-MiniLM-L6-v2"), a folder, or a name on the Hugging Face hub. `device`: as
    in torch; None takes an accelerator if there is one. Raises `ConfigError` or `MissingDependency`
    at construction where it is known without the network that the model cannot be loaded.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str | None = None,
        revision: str | None = None,
    ) -> None:
        self._source = Source(model, revision)
        self._device = device
        self._model: SentenceTransformer | None = None
        self._window: Window | None = None
        self._lock = threading.Lock()
        self.watch_forks()

    @property
    def identity(self) -> str:
        """A hash of the model's weights and settings, the same wherever its files are."""
        return self._source.folder.identity

    @property
    def dimension(self) -> int:
        return self._source.folder.dimension or self.embed(["dimension"]).shape[1]

    def fits(self, text: str) -> bool:
        """Whether no piece of the text is cut off or unknown to the model."""
        return self._known_window().fits(text)

    def embed(self, texts: Sequence[str]) -> Matrix:
        texts = plain(texts)
        rows = self._encode(texts, "sentence_embedding") if texts else np.empty((0, self.dimension))
        return unit_rows(rows, len(texts), self._source.name)

    async def aembed(self, texts: Sequence[str]) -> Matrix:
        return await asyncio.to_thread(self.embed, texts)

    def embed_tokens(self, texts: Sequence[str]) -> list[Matrix]:
        """For each text shape (pieces without special ones, dimension), unit rows."""
        return [self._tokens(text) for text in plain(texts)]

    def in_forked_child(self) -> None:
        self._lock = threading.Lock()
        if self._model is not None:
            # The parent's OpenMP threads are gone, and a parallel region would wait for them.
            sys.modules["torch"].set_num_threads(1)

    def _encode(self, texts: list[str], output: str) -> Any:
        with failing_as_embedder(self._source.name), self._lock:
            # One caller at a time: the tokenizer's truncation is set anew in every call.
            encode: Callable[..., Any] = self._loaded().encode  # its overloads know no variable
            return encode(texts, batch_size=_BATCH, show_progress_bar=False, output_value=output)

    def _tokens(self, text: str) -> Matrix:
        (rows,) = self._encode([text], "token_embeddings")
        window = self._known_window()
        special = np.array(window.encode(text).special_tokens_mask)
        kept = rows.cpu().numpy()[special == 0]
        return unit_rows(kept, len(kept), self._source.name)

    def _known_window(self) -> Window:
        window = self._source.folder.window or self._window
        if window is None:
            with self._lock:
                window = self._window = _window_of(self._loaded(), self._source.folder.prompt)
        return window

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            self._model = load(self._source.folder.path, self._device)
        return self._model


def load(folder: Path, device: str | None = None) -> SentenceTransformer:
    """The model, ready to encode, without a word on the console."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependency(
            "Embedding with a local model", "sentence-transformers", "local"
        ) from error
    with _quiet():
        return SentenceTransformer(str(folder), device=device, local_files_only=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading draws a progress bar unless it is switched off for the whole library."""
    from transformers.utils import logging as told

    logging: Any = told  # untyped in parts
    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _window_of(model: SentenceTransformer, prompt: str) -> Window:
    """For a folder without a tokenizer.json: the tokenizer as it was converted for loading."""
    tokenizer: Any = model.tokenizer  # of transformers, or what that wraps
    length = model.max_seq_length
    return Window.parse(
        getattr(tokenizer, "backend_tokenizer", tokenizer).to_str(),
        length if isinstance(length, int) else UNBOUNDED,
        prompt,
    )
