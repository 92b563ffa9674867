"""Lookups that found nothing and whose answer may be handed in by a call of its own."""

from __future__ import annotations

from semcache_core.lru import LRU
from semcache_core.models import Miss, Outcome, Prompt

_KEPT = 256  # each holds its candidates with their answers


class Misses:
    """The newest misses by prompt, so that an update that follows reuses the embedding and learns.

    Thread-safe and bounded: of a miss that is forgotten only its label is lost.
    """

    def __init__(self) -> None:
        self._newest: LRU[str, Miss] = LRU(_KEPT)

    def keep(self, outcome: Outcome) -> None:
        """Remember a miss with an embedding; of anything else an update could use nothing."""
        if isinstance(outcome, Miss) and outcome.query is not None:
            self._newest.put(outcome.prompt.key, outcome)

    def take(self, prompt: Prompt) -> Miss | None:
        """The miss of this very prompt, once."""
        return self._newest.pop(prompt.key)
