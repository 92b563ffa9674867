"""What instrumentation is told of a hit.

An event of our own and none of LlamaIndex's LLM events: handlers count calls and tokens by those,
and a hit is no call and costs no tokens.
"""

from __future__ import annotations

from typing import Any

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent

from semcache_core.models import Hit

_dispatcher = get_dispatcher(__name__)


class CacheHitEvent(BaseEvent):
    """An answer came from the cache; its tags hold `semcache=hit`."""

    model: str
    """The model that was not asked, or the query engine that did not run."""
    text: str
    """The answer, as text."""
    mark: dict[str, Any]
    """How it was found (`Hit.mark`)."""

    @classmethod
    def class_name(cls) -> str:
        """The event's name in traces."""
        return "SemcacheHitEvent"


def tell(hit: Hit, text: str) -> None:
    """Send the event to whoever listens, under the span that is active here."""
    event = CacheHitEvent(
        model=hit.prompt.model, text=text, mark=hit.mark, tags={"semcache": "hit"}
    )
    _dispatcher.event(event)
