"""Comparisons of fresh answers with stored ones, and how a record keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from semcache_core.errors import ConfigError
from semcache_core.keys import digest

_MOST = 5_000  # half a megabyte


@dataclass(frozen=True, slots=True)
class Label:
    """One comparison: what would have been served, and whether that would have been right."""

    question: str
    """Empty, as the next, for a label from an earlier run: see `packed`."""
    stored_question: str
    similarity: float
    score: float
    """The evaluator's own, whatever a policy makes of it."""
    correct: bool
    entry: str
    """The neighbour's id."""


def kept_as(scored_by: str) -> str:
    """Under which name a record keeps the labels of this evaluator's scores."""
    return f"labels {digest(scored_by)[:16]}"


def packed(labels: Sequence[Label]) -> str:
    """The newest labels as JSON, without their texts: whoever deletes an entry deletes its text."""
    rows = [(one.entry, one.similarity, one.score, one.correct) for one in labels[-_MOST:]]
    return json.dumps(rows)


def unpacked(text: str) -> list[Label]:
    """Labels as `packed` left them. Raises `ConfigError` if they are damaged."""
    try:
        return [
            Label("", "", float(similarity), float(score), bool(correct), str(entry))
            for entry, similarity, score, correct in json.loads(text)
        ]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not saved labels ({error}): {text[:40]!r}") from error
