"""The seams: small protocols that the parts of the cache meet at.

Every seam that does I/O or heavy work has paired methods, `x` and `ax`; `semcache_core.steps`
gives the asynchronous one for free by running the other in a worker thread. Optional abilities are
protocols of their own, asked for with `isinstance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from semcache_core.models import (
    Candidate,
    Change,
    Decision,
    Entry,
    Figures,
    IndexStatus,
    Matrix,
    Neighbour,
    Query,
    Score,
    Scored,
    Usage,
    Vector,
    VectorPage,
)

T = TypeVar("T")


@runtime_checkable
class Clock(Protocol):
    """Seconds since the epoch; tests hand in one that they move."""

    def __call__(self) -> float: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors. Thread-safe. Raises `EmbedderError`."""

    @property
    def identity(self) -> str:
        """Names the model and its weights; vectors of different identities are never compared."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def fits(self, text: str) -> bool:
        """Whether the whole text is seen by the model; what does not fit is never embedded."""

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), float32, rows of unit length."""

    async def aembed(self, texts: Sequence[str]) -> Matrix: ...


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that can also show its token vectors (optional; the verifier aligns them)."""

    def embed_tokens(self, texts: Sequence[str]) -> Sequence[Matrix]:
        """One matrix a text: shape (tokens without the special ones, dimension), unit rows."""


@runtime_checkable
class EntryStore(Protocol):
    """The record: the only thing that must not be lost. Thread-safe. Raises `StoreError`.

    `seq` is given in commit order: once a reader has seen seq n, no smaller one appears later.
    """

    @property
    def shared(self) -> bool:
        """Whether somebody else may write it too, so that `figures` has to be polled."""

    @property
    def read_only(self) -> bool:
        """Whether writing raises `StoreReadOnly`."""

    def put(self, entries: Sequence[Entry]) -> list[Entry]:
        """Write or replace by key in one transaction, durable on return; entries with their seq.

        Of several entries with one key the last is kept, and returned.
        """

    def get(self, keys: Sequence[str]) -> dict[str, Entry]:
        """The entries that exist, with vectors; expired ones included."""

    def delete(self, keys: Sequence[str]) -> list[Change]:
        """Delete and leave tombstones, which are returned: one for each key that existed."""

    def touch(self, uses: Mapping[str, tuple[int, float]]) -> None:
        """Add to use counts and set last_used: {key: (uses, last_used)}. Not a change."""

    def changes(self, after: int, limit: int) -> list[Change] | None:
        """The log above seq `after`, ascending, at most `limit` lines, without payloads.

        None: tombstones above `after` were trimmed, so the reader has to start anew.
        """

    def figures(self) -> Figures:
        """Newest seq, number of entries, bytes: one cheap read."""

    def scope(self, scope: str) -> Iterator[Entry]:
        """Entries of a scope that have a vector, oldest seq first, without payloads."""

    def entries(self, namespace: str | None = None) -> Iterator[Entry]:
        """All entries, oldest seq first, without loading all of them at once."""

    def count(self, scope: str | None = None) -> int:
        """Number of entries; of those with a vector in a scope, if one is named."""

    def doomed(self, rule: str, excess: int, excess_bytes: int, now: float) -> list[str]:
        """Keys to evict until the excess is gone: first what expired, then by rule.

        `rule` is "lru", "lfu", "fifo" or "random".
        """

    def expired(self, now: float, limit: int) -> list[str]:
        """Keys of entries that expired, at most `limit`, first those that expired first."""

    def meta(self, name: str) -> str | None:
        """A value kept beside the entries (embedder identity, blocked pairs)."""

    def set_meta(self, name: str, value: str) -> None: ...

    def metas(self) -> dict[str, str]:
        """All of these values."""

    def swap_meta(self, name: str, old: str | None, new: str) -> bool:
        """Set the value only if it is `old` now, and say whether it was; one atomic step."""

    def clear(self, namespace: str | None = None) -> int:
        """Delete all entries (of a namespace); returns how many."""

    def close(self) -> None: ...


@runtime_checkable
class Paged(EntryStore, Protocol):
    """A record that hands out vectors many at a time (optional; an index opens faster by it)."""

    def vectors(self, scope: str) -> Iterator[VectorPage | Entry]:
        """As `scope`, in pages, and entry by entry where a page cannot be made."""


@runtime_checkable
class Exchangeable(Protocol):
    """A record that somebody may remove or exchange while it is open (optional)."""

    @property
    def generation(self) -> int:
        """How often that was noticed; with each time all that was read before is void."""


@runtime_checkable
class Sampling(EntryStore, Protocol):
    """A record that can be drawn from (optional; the rules "gdsf" and "tinylfu" need it)."""

    def sample(self, count: int) -> list[Usage]:
        """So many entries at random, or all if there are no more. Raises `StoreError`."""


@runtime_checkable
class VectorIndex(Protocol):
    """Finds the nearest vectors of a scope. Rebuildable from the record. Raises `StoreError`."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Follow the record: entries added, replaced and deleted, ascending seq in one call.

        Threads may call in another order than they committed. An index that can tell ignores what
        is older than what it holds; a stale vector costs a miss, never a wrong answer, as the
        store compares with the row's own vector.
        """

    def nearest(self, scope: str, vector: Vector, k: int) -> list[Neighbour]:
        """At most k of the scope, nearest first."""

    def clear(self) -> None:
        """Forget everything: the record was emptied, or its log was trimmed too far."""

    def close(self) -> None: ...


@runtime_checkable
class Floored(Protocol):
    """An index that is faster when it may leave out what is far (optional)."""

    floored: bool
    """True: `nearest` takes a `floor`, and may leave out entries with a lower similarity."""

    def nearest(
        self, scope: str, vector: Vector, k: int, floor: float = -1.0
    ) -> list[Neighbour]: ...


@runtime_checkable
class Maintained(Protocol):
    """An index with work to do behind the requests (optional); one thread calls `maintain`."""

    def attach(self, wake: Callable[[], None]) -> None:
        """Hand over what has `maintain` called soon."""

    def maintain(self) -> float:
        """Do a bounded piece of work; seconds until the next piece is worth a call."""

    def flush(self) -> None:
        """Return when everything applied so far is where it should be."""

    def status(self) -> IndexStatus:
        """For `Store.health`; no I/O."""


@runtime_checkable
class ForkAware(Protocol):
    """A part with locks, threads, files or sockets that a forked child must not share."""

    def before_fork(self) -> None:
        """In the parent: come to rest, so that the child copies nothing half done."""

    def after_fork(self, child: bool) -> None:
        """In both: the parent goes on, the child replaces what it must not share."""


@runtime_checkable
class Evaluator(Protocol):
    """Scores how well candidates' answers serve a query. Thread-safe. Raises `EvaluatorError`."""

    @property
    def name(self) -> str: ...

    def score(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]:
        """One score a candidate, in order."""

    async def ascore(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Score]: ...


@runtime_checkable
class Policy(Protocol):
    """Turns scores into a decision. Pure: no I/O; state only through `Learner`."""

    @property
    def floor(self) -> float:
        """Similarity below which candidates are not even scored, in [-1, 1]."""

    def decide(self, query: Query, scored: Sequence[Scored], factor: float = 1.0) -> Decision:
        """`scored` is best first and holds no rejected candidate; `factor` scales thresholds."""


@runtime_checkable
class Learner(Protocol):
    """A policy that learns from labels (optional)."""

    def observe(self, query: Query, scored: Scored, correct: bool) -> None:
        """The fresh answer to `query` was, or was not, the candidate's."""

    def state(self) -> str:
        """What was learnt, as JSON, kept in the record across restarts."""

    def restore(self, state: str) -> None: ...


@runtime_checkable
class Watchful(Protocol):
    """A policy that wants to know which of its decisions were carried out (optional)."""

    def served(self, query: Query, scored: Scored) -> None:
        """The candidate's answer went to the asker of `query`; called on the way of each hit."""


@runtime_checkable
class Certified(Protocol):
    """A policy that serves within a false-hit budget, or says what is missing (optional)."""

    @property
    def calibration(self) -> object:
        """`str` of it is a sentence."""


@runtime_checkable
class Judge(Protocol):
    """Says whether two answers are the same for the asker."""

    def same(self, question: str, fresh: str, cached: str) -> bool | None:
        """None: cannot tell, so no label."""

    async def asame(self, question: str, fresh: str, cached: str) -> bool | None: ...


class Codec(Protocol[T]):
    """Turns a framework's answer into bytes and back. `name` goes into the envelope."""

    @property
    def name(self) -> str: ...

    def encode(self, answer: T) -> bytes:
        """Raises `PayloadError` when the answer does not survive the round trip."""

    def decode(self, data: bytes) -> T:
        """A fresh object each time; raises `PayloadError`."""

    def text(self, data: bytes) -> str:
        """The answer as plain text, for people and judges."""
