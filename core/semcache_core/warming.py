"""Answers that are known beforehand, stored under the very keys that calls will look up.

A question and its answer do not say which model, parameters, system prompt and tools the call will
have, and all of those must match. So the call itself is made, through whatever chain or engine
makes it, with the answer in hand: inside `collecting` every lookup is a hit on that answer, and is
taken note of. No model is asked. Rejected: keys from a description of the model, which would be a
second way to make them, and drift from the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from semcache_core.arguments import check
from semcache_core.envelope import seal
from semcache_core.errors import ConfigError, UncacheableError
from semcache_core.flow import Parts, exact_only
from semcache_core.models import Entry, Hit, Prompt, Reason, Vector
from semcache_core.protocols import Codec, Embedder
from semcache_core.store import Store
from semcache_core.upkeep import record_id

BATCH = 256
"""Pairs whose questions are embedded at once, and whose entries are committed together."""


@dataclass(frozen=True, slots=True)
class Known:
    """A question with its answer; raises `ConfigError` for empty ones."""

    question: str
    answer: str
    tokens: int = 0
    """What a hit saves."""
    ttl: float | None = None
    """Seconds that it may be served."""

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ConfigError(f"{name}: {value!r} was given; give a text that is not empty")
        if isinstance(self.tokens, bool) or not isinstance(self.tokens, int) or self.tokens < 0:
            raise ConfigError(f"tokens: {self.tokens!r} was given; give a whole number from 0")

    @classmethod
    def of(cls, given: Any) -> Known:
        """From a pair, or a mapping with the names of the fields; raises `ConfigError`."""
        if isinstance(given, cls):
            return given
        try:
            return cls(**given) if isinstance(given, Mapping) else cls(*given)
        except TypeError:
            raise ConfigError(
                f"{given!r} was given; give a pair of question and answer, or a mapping with "
                "question, answer, and if known tokens and ttl"
            ) from None


@dataclass(frozen=True, slots=True)
class Warmed:
    """How far warming is, or how it ended."""

    pairs: int = 0
    """Pairs that were gone through."""
    stored: int = 0
    """Entries written; a pair gives several if the call asks several models."""
    present: int = 0
    """Entries that were there already, and were left alone."""
    exact_only: int = 0
    """Of those written, how many only the same wording can find."""
    why: str = ""
    """Why so, for the last of them."""

    def __str__(self) -> str:
        said = f"{self.pairs} pairs: {self.stored} stored, {self.present} were there already"
        if self.exact_only:
            said += f"; {self.exact_only} only for the same wording: {self.why}"
        return said


Progress = Callable[[Warmed], None]
Call = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Found:
    """An entry to be: in whose record, under which prompt, and what is kept."""

    store: Store
    prompt: Prompt
    payload: bytes
    tokens: int = 0
    ttl: float | None = None


@dataclass
class Collecting:
    """The answer in hand, and the lookups that were given it."""

    known: Known
    found: list[Found] = field(default_factory=list)

    def hit(self, store: Store, prompt: Prompt, codec: Codec[Any]) -> Hit:
        """The given answer, as this kind of call has it; raises `UncacheableError`."""
        made = getattr(codec, "from_text", None)
        if made is None:
            raise UncacheableError(f"an answer of kind {codec.name!r} cannot be made from a text")
        data = codec.encode(made(self.known.answer))
        payload = seal(codec.name, data)
        self.found.append(Found(store, prompt, payload, self.known.tokens, self.known.ttl))
        entry = Entry(prompt.key, prompt.scope, prompt.namespace, b"", 0.0, prompt.query)
        answer = codec.decode(data)
        return Hit(prompt, entry, 1.0, Reason.EXACT, 0.0, detail="given", answer=answer)


_running: ContextVar[Collecting | None] = ContextVar("semcache_collecting", default=None)


def running() -> Collecting | None:
    """The warming that this code runs inside, if it does."""
    return _running.get()


@contextmanager
def collecting(known: Known) -> Iterator[Collecting]:
    """Inside, each lookup of any cache is a hit on this answer, and nothing is counted."""
    made = Collecting(known)
    token = _running.set(made)
    try:
        yield made
    finally:
        _running.reset(token)


def check_function(model: Any, system: str | None) -> None:
    """Raises `ConfigError` for what only a framework's own class can ask."""
    if system is not None or not (model is None or callable(model)):
        raise ConfigError(
            f"model: {model!r} was given; give a function of a question, and any system prompt "
            "inside it, or use LangChain's or LlamaIndex's SemanticCache"
        )


def warm(
    parts: Parts,
    pairs: Iterable[Any],
    call: Call,
    *,
    overwrite: bool,
    batch: int,
    progress: Progress | None,
) -> Warmed:
    """What `SemanticCache.warm` does, `batch` pairs at a time."""
    check(batch=batch)
    state, numbered = Warmed(), enumerate(pairs, 1)
    while some := list(islice(numbered, batch)):
        found = [one for number, pair in some for one in _found(parts.store, number, pair, call)]
        state = kept(parts, found, replace(state, pairs=state.pairs + len(some)), overwrite)
        if progress is not None:
            progress(state)
    return state


def kept(parts: Parts, found: Sequence[Found], state: Warmed, overwrite: bool) -> Warmed:
    """Store what was found, all embedded and committed at once."""
    wanted = found if overwrite else [one for one in found if _missing(parts, one)]
    entries, why = _entries(parts, wanted)
    parts.store.put(entries)
    return replace(
        state,
        stored=state.stored + len(entries),
        present=state.present + len(found) - len(wanted),
        exact_only=state.exact_only + sum(entry.vector is None for entry in entries),
        why=why or state.why,
    )


def _found(store: Store, number: int, pair: Any, call: Call) -> list[Found]:
    try:
        with collecting(Known.of(pair)) as made:
            call(made.known.question)
    except ConfigError as error:
        raise ConfigError(f"pair {number}: {error}") from error
    return _ours(store, made, f"pair {number}: ")


def prompts(store: Store, question: str, call: Call) -> list[Prompt]:
    """What a call looks up for a question."""
    with collecting(Known(question, "-")) as made:
        call(question)
    return [one.prompt for one in _ours(store, made, "")]


def _ours(store: Store, made: Collecting, number: str) -> list[Found]:
    """What was looked up in this cache, or in another one of the same record."""
    ours = [one for one in made.found if one.store is store or _one_record(one.store, store)]
    if not ours:
        asked = "a model through another cache" if made.found else "no model through a cache"
        raise ConfigError(
            f"{number}the call asked {asked}, so there is nothing to store here; hand over the "
            "call as the program makes it"
        )
    return ours


def _one_record(one: Store, other: Store) -> bool:
    return record_id(one) == record_id(other) != ""


def _missing(parts: Parts, found: Found) -> bool:
    return parts.store.get(found.prompt.key) is None


def _entries(parts: Parts, wanted: Sequence[Found]) -> tuple[list[Entry], str]:
    """The entries with their vectors, all embedded at once, and why one has none."""
    why = {one.prompt.key: exact_only(parts, one.prompt) for one in wanted}
    texts = {one.prompt.query or "" for one in wanted if not why[one.prompt.key]}
    vectors = _vectors(parts.embedder, sorted(texts, key=len))
    now = parts.clock()
    made = [
        Entry(
            key=one.prompt.key,
            scope=one.prompt.scope,
            namespace=one.prompt.namespace,
            payload=one.payload,
            created=now,
            query=one.prompt.query,
            vector=None if why[one.prompt.key] else vectors[one.prompt.query or ""],
            turns=one.prompt.turns,
            model=one.prompt.model,
            expires=None if one.ttl is None else now + one.ttl,
            last_used=now,
            tokens=one.tokens,
        )
        for one in wanted
    ]
    return made, next(filter(None, why.values()), "")


_TOGETHER = 64
"""Texts in one call of the embedder: more take no less time, and hold up other threads."""


def _vectors(embedder: Embedder, texts: Sequence[str]) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    for start in range(0, len(texts), _TOGETHER):
        some = texts[start : start + _TOGETHER]
        found.update(zip(some, embedder.embed(some), strict=True))
    return found
