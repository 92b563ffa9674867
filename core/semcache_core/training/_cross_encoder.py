"""Fine-tune a cross-encoder of sentence-transformers on labelled pairs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from semcache_core.errors import ConfigError, MissingDependency
from semcache_core.evaluation import Pair

BASE = "cross-encoder/quora-distilroberta-base"
_BATCH = 16
_RATE = 2e-5


def fit_cross_encoder(
    pairs: Sequence[Pair], folder: Path, *, base: str | Path, epochs: int, seed: int
) -> None:
    """Train with binary cross-entropy and write the model into the folder.

    AdamW at 2e-5, batches of 16 in a new order each epoch. A loop of our own: the trainer of
    sentence-transformers needs `datasets` and `accelerate`, which nothing else here does.
    """
    if epochs < 1:
        raise ConfigError(f"epochs={epochs!r}: give a whole number of at least 1")
    try:
        import torch
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise MissingDependency("training a cross-encoder", "sentence-transformers", "local") from (
            error
        )
    torch.manual_seed(seed)
    encoder = CrossEncoder(str(base), num_labels=1)
    _fitted(torch, encoder, list(pairs), epochs, random.Random(seed))  # noqa: S311  # an order
    encoder.save_pretrained(str(folder))


def _fitted(
    torch: Any, encoder: Any, pairs: list[Pair], epochs: int, chance: random.Random
) -> None:
    model = encoder.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    loss_of = torch.nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        chance.shuffle(pairs)
        for batch in _batches(pairs):
            logits = model(**_tokens(encoder, batch)).logits.view(-1)
            wanted = torch.tensor([float(one.same) for one in batch], device=logits.device)
            loss_of(logits, wanted).backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval()


def _batches(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    return (pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH))


def _tokens(encoder: Any, batch: Sequence[Pair]) -> Any:
    texts = [one.query for one in batch], [one.stored for one in batch]
    tokens = encoder.tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
    return tokens.to(encoder.model.device)
