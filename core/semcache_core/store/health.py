"""What a store says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from semcache_core.models import IndexStatus
from semcache_core.protocols import EntryStore, Maintained, VectorIndex


@dataclass(frozen=True, slots=True)
class Health:
    """How a store is doing."""

    rows: int
    """Entries in the record, expired ones included until they are purged."""
    size: int
    """Their bytes, as `Entry.size` counts them."""
    seq: int
    """The record's newest change."""
    indexed: int
    """The change up to which the index on disk is complete; equal to `seq` if it has none."""
    pending: int
    """Entries that wait to be written to the index; lookups see them all the same."""
    index: str
    """What the index is doing, in a word or two."""
    owner: bool
    """Whether this process writes the index."""
    read_only: bool
    hot: int
    """Entries in this process's memory."""


def health(entries: EntryStore, index: VectorIndex, hot: int) -> Health:
    """Ask the record and the index. Raises `StoreError`."""
    figures = entries.figures()
    status = index.status() if isinstance(index, Maintained) else IndexStatus()
    return Health(
        rows=figures.count,
        size=figures.size,
        seq=figures.seq,
        indexed=figures.seq if status.seq is None else status.seq,
        pending=status.pending,
        index=status.state,
        owner=status.owner,
        read_only=entries.read_only,
        hot=hot,
    )
