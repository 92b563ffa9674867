"""What an index of large scopes has to do, whatever keeps its vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from semcache_core.errors import StoreError
from semcache_core.models import Change, Entry, Neighbour, Vector

FORMAT = 1


class IndexFailed(StoreError):
    """The index, or what keeps it, cannot be used."""


@dataclass(frozen=True, slots=True)
class State:
    """What an index says of itself."""

    embedder: str
    seq: int = 0
    """The change of the record up to which it is complete for its scopes."""
    scopes: tuple[str, ...] = ()
    dead: int = 0
    """Vectors deleted since it was built."""
    record: str = ""
    """The record it was made from."""
    format: int = FORMAT


class LargeIndex(Protocol):
    """One generation of an index. Raises `IndexFailed`; `protocols.VectorIndex` says more."""

    @property
    def kind(self) -> str:
        """What keeps the vectors, in a word."""

    @property
    def state(self) -> State: ...

    def apply(self, changes: Sequence[Change]) -> None: ...

    def nearest(self, scope: str, vector: Vector, k: int) -> list[Neighbour]: ...

    def count(self) -> int:
        """Number of vectors."""

    def bloated(self) -> bool:
        """Whether it has grown so much by deletions that it should be built anew."""

    def missing(self, entries: Iterable[Entry]) -> int:
        """How many of the entries are not found when their own vector is searched for."""

    def save(self, seq: int, scopes: Iterable[str], record: str = "") -> None:
        """Note how far it is complete, for which scopes, and of which record."""

    def reload(self) -> State:
        """The state as another process may have noted it."""
