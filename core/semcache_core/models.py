"""The values that travel through the cache. All are frozen; none does any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""One embedding: shape (dimension,), float32, unit length."""

Matrix = NDArray[np.float32]
"""Embeddings, one a row: shape (n, dimension), float32, rows of unit length."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, split into what must match exactly and what may be paraphrased.

    Adapters make prompts with `semcache_core.keys.make_prompt`; `scope` and `key` are
    SHA-256 digests in hex.
    """

    scope: str
    """Digest of everything that must match exactly."""
    key: str
    """Digest of the scope and the whole prompt: the exact match."""
    query: str | None = None
    """The text that may be paraphrased; None: only an exact match can hit."""
    namespace: str = ""
    """The tenant, in the user's words; it is part of the scope."""
    model: str = ""
    """A short label of the model, for statistics only."""
    turns: tuple[str, ...] = ()
    """Earlier turns, oldest first, when they are compared by meaning and not by scope."""
    temperature: float | None = None
    """The model's sampling temperature, for policies that let it vary answers."""
    exact_only: str = ""
    """Why `query` is None, in words a user understands."""


@dataclass(frozen=True, slots=True)
class Query:
    """The question of a lookup together with its embedding: what evaluators see of it."""

    text: str
    vector: Vector
    turns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One stored answer."""

    key: str
    scope: str
    namespace: str
    payload: bytes
    """The answer in its envelope (`semcache_core.envelope`)."""
    created: float
    """Seconds since the epoch, as are `expires` and `last_used`."""
    query: str | None = None
    vector: Vector | None = None
    """None for an entry that only an exact match can find."""
    turns: tuple[str, ...] = ()
    model: str = ""
    expires: float | None = None
    last_used: float = 0.0
    uses: int = 0
    tokens: int = 0
    """Tokens the model spent on this answer: what a hit saves."""
    seq: int = 0
    """Given by the record when the entry is committed; grows with every change."""

    @property
    def size(self) -> int:
        """Bytes that count towards a byte budget."""
        vector = 0 if self.vector is None else self.vector.nbytes
        return len(self.payload) + len((self.query or "").encode()) + vector

    def expired(self, now: float) -> bool:
        """Whether the entry may no longer be served at `now`."""
        return self.expires is not None and now >= self.expires

    def at(self, seq: int) -> Entry:
        """This entry as the record committed it."""
        return replace(self, seq=seq)


@dataclass(frozen=True, slots=True, eq=False)
class VectorPage:
    """What an index needs of many entries, column by column."""

    keys: Sequence[str]
    seqs: NDArray[np.int64]
    rows: Matrix
    """Shape (len(keys), dimension)."""
    ahead: int = 0
    """How many more are to come, if that is known: room for them is made once."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Usage:
    """What decides whether an entry is worth its room."""

    key: str
    size: int
    """As `Entry.size`."""
    uses: int
    tokens: int
    last_used: float


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the record's log: an entry written (`entry` is set) or a key deleted.

    Entries of a log come without their payload.
    """

    seq: int
    key: str
    scope: str
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Where the record stands."""

    seq: int
    """The newest seq; 0 for an empty record."""
    count: int
    """Number of entries."""
    size: int
    """Sum of `Entry.size`, in bytes."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What an index returns: which entry, and how near. The store looks at its row before use."""

    key: str
    similarity: float
    """Cosine similarity in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How an index is doing."""

    seq: int | None = None
    """The change of the record up to which what it keeps on disk is complete; None: it keeps
    nothing there."""
    pending: int = 0
    """Entries that wait to be written there; searches see them all the same."""
    state: str = "scan"
    """What it does, in a word or two for a person."""
    owner: bool = False
    """Whether this process is the one that writes it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that may answer the query."""

    entry: Entry
    similarity: float


@dataclass(frozen=True, slots=True)
class Score:
    """What an evaluator says of one candidate."""

    value: float
    """How sure the evaluator is that the candidate's answer serves the query, in [0, 1]."""
    by: str
    """The evaluator's name."""
    reason: str = ""
    """For a person; a guard that rejects always gives one."""
    rejected: bool = False
    """The candidate must not be served, whatever its value."""
    parts: tuple[Score, ...] = ()
    """The scores that were combined into this one, for `explain`."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with what was said of it; `value` is what a policy compares."""

    candidate: Candidate
    score: Score

    @property
    def value(self) -> float:
        return self.score.value


class Action(Enum):
    """What a policy decides."""

    SERVE = "serve"
    EXPLORE = "explore"
    """Ask the model although a candidate looks good, to learn from the comparison."""
    REFUSE = "refuse"


class Reason(str, Enum):
    """Why a lookup ended as it did. The values are what statistics and logs show."""

    EXACT = "exact"
    SEMANTIC = "semantic"
    EMPTY = "no candidate"
    BELOW = "below threshold"
    REJECTED = "rejected by a guard"
    BLOCKED = "reported wrong"
    EXPLORED = "explored"
    EXACT_ONLY = "exact only"
    UNCERTIFIED = "not certified yet"
    EXPIRED = "expired"
    SEEN = "already served in this session"
    UNREADABLE = "unreadable entry"
    SKIPPED = "skipped"
    SHADOW = "shadow mode"
    FAILED = "cache failure"


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's word on one lookup."""

    action: Action
    reason: str
    """For a person, with the numbers that led to it."""
    chosen: tuple[Scored, ...] = ()
    """For SERVE the acceptable candidates, best first; otherwise the one, if any, that a learning
    policy wants the fresh answer compared with."""
    threshold: float | None = None
    why: Reason | None = None
    """The code that statistics count; None: SEMANTIC, EXPLORED or BELOW, after the action."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer from the cache."""

    prompt: Prompt
    entry: Entry
    similarity: float
    reason: Reason
    age: float
    """Seconds since the answer was stored."""
    score: float = 1.0
    detail: str = ""
    answer: Any = field(default=None, repr=False)
    """The stored answer, decoded afresh: the caller may change it."""

    def __bool__(self) -> bool:
        return True

    @property
    def id(self) -> str:
        """What `delete` takes."""
        return self.entry.key

    @property
    def mark(self) -> dict[str, Any]:
        """What an adapter puts on a served answer; `report_wrong` takes it back."""
        return {
            "hit": self.reason.value,
            "id": self.entry.key,
            "prompt": self.prompt.key,
            "similarity": round(self.similarity, 6),
            "score": round(self.score, 6),
            "age": round(self.age, 3),
            "question": self.entry.query,
        }


@dataclass(frozen=True, slots=True)
class Miss:
    """No answer from the cache, and why; carries what the update that follows can reuse."""

    prompt: Prompt
    reason: Reason
    detail: str = ""
    query: Query | None = None
    considered: tuple[Scored, ...] = field(default=(), repr=False)
    """The candidates that were scored, best first."""
    explore: Scored | None = None
    """The neighbour a learning policy wants the fresh answer compared with."""

    def __bool__(self) -> bool:
        return False


Outcome = Hit | Miss
