"""Where large indexes live, and which process writes them.

A home keeps generations: an index that is built anew stands beside the old one until it is whole.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from semcache_core.indexes.large import LargeIndex

abandoned: list[object] = []
"""What a forked child inherited and must neither use nor close: it is the parent's."""


def collection_name(embedder: str) -> str:
    """What collections for an embedder's vectors are called."""
    return "semcache-" + hashlib.sha256(embedder.encode()).hexdigest()[:12]


class Home(Protocol):
    """Raises `IndexFailed`, and `StoreError` for what the record raises."""

    @property
    def open_to_readers(self) -> bool:
        """Whether a process that does not write the index may search it."""

    def exists(self) -> bool:
        """Whether there may be an index already. Cheap: nothing is imported or opened."""

    def acquire(self) -> bool:
        """Become, or stay, the one process that writes."""

    def open(self) -> LargeIndex | None:
        """The whole index that was left here; what is broken or half built is cleared away."""

    def create(self) -> LargeIndex:
        """An empty index, which nobody finds until it is published."""

    def publish(self, index: LargeIndex) -> None:
        """It is whole: from now on `open` gives this one."""

    def is_current(self, index: LargeIndex) -> bool:
        """Whether `open` would give this one."""

    def looked_after(self, index: LargeIndex) -> None:
        """Called every second or so while the index is in use. Raises nothing."""

    def retire(self, index: LargeIndex) -> None:
        """It is not needed any more."""

    def release(self, index: LargeIndex, clean: bool) -> None:
        """Let go of an index; unless `clean`, it is tested before it is opened again."""

    def close(self) -> None:
        """Let go of the right to write."""

    def after_fork(self, inherited: object) -> None:
        """In the child: share nothing with the parent, and never drop what was inherited."""
