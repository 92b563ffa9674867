"""Usage in streams: asked for always, so that a stored answer has it; shown to who asked."""

from __future__ import annotations

from semcache_core.server import sse


def without_usage(event: bytes) -> bytes | None:
    """The event for a caller who did not ask for usage; None if it holds nothing else."""
    if b'"usage"' not in event:
        return event
    try:
        chunk = sse.read(event)
    except ValueError:
        return event
    if chunk is None or "usage" not in chunk:
        return event
    if not chunk.get("choices"):
        return None if chunk["usage"] is not None else event
    if chunk["usage"] is None:
        del chunk["usage"]
        return sse.write(chunk)
    return event  # some providers always tell it with the last choice
