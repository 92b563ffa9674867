"""One cache's lookups and updates as flows: with the next level behind it, and who waits for whom.

What asks through a cache (`asking`, `together`, `streaming`) is written on this; what a person or
an adapter calls is `cache.SemanticCache`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from semcache_core import warming
from semcache_core.control import Control
from semcache_core.errors import OfflineMiss
from semcache_core.flow import Parts, answering
from semcache_core.learning import Learning
from semcache_core.models import Hit, Miss, Outcome, Prompt, Reason
from semcache_core.protocols import Codec
from semcache_core.redaction import redacted
from semcache_core.relay import Relays
from semcache_core.serving import updates
from semcache_core.serving.lookups import glanced, looked
from semcache_core.serving.misses import Misses
from semcache_core.serving.noting import Noting
from semcache_core.singleflight import Flight, Flights
from semcache_core.steps import Flow

T = TypeVar("T")
log = logging.getLogger("semcache")


class Serving:
    """Nothing here raises for a part that fails."""

    def __init__(
        self, parts: Parts, learning: Learning, following: Serving | None, coalesce: bool | str, /
    ) -> None:
        self._parts = parts
        self._learning = learning
        self._next = following
        self._coalesce = coalesce
        self._noting = Noting(parts)
        self.misses = Misses()
        self.flights = Flights()
        self.relays = Relays()

    def hitting(self, prompt: Prompt, codec: Codec[T], control: Control) -> Hit | None:
        """The exact match, if this process holds it in memory, counted.

        `finding` has the same answer; to begin a flow takes half as long again.
        """
        started = perf_counter()
        if warming.running() is not None or self._parts.variety.skips(prompt):
            return None
        hit = glanced(self._parts, prompt, codec, control)
        if hit is not None:
            self._noting.hit(hit, control, perf_counter() - started)
        return hit

    def finding(self, prompt: Prompt, codec: Codec[T], control: Control) -> Flow[Outcome]:
        """One lookup, counted. Raises `OfflineMiss`."""
        started = perf_counter()
        outcome = yield from self.looking(prompt, codec, control)
        self.note(outcome, control, perf_counter() - started)
        if control.offline and isinstance(outcome, Miss):
            raise OfflineMiss(f"offline, and nothing is stored: {outcome.reason.value}")
        return outcome

    def looking(self, prompt: Prompt, codec: Codec[T], control: Control) -> Flow[Outcome]:
        """One lookup, not counted yet: `note` counts it."""
        parts = self._parts
        if (given := warming.running()) is not None:
            return given.hit(parts.store, prompt, codec)
        if not control.read:
            return Miss(prompt, Reason.SKIPPED, "reading is switched off here")
        if parts.variety.skips(prompt):
            return Miss(prompt, Reason.SKIPPED, f"drawn at temperature {prompt.temperature}")
        hit = glanced(parts, prompt, codec, control)
        if hit is not None:
            return hit
        outcome = yield from looked(parts, prompt, codec, control)
        if isinstance(outcome, Miss) and self._next is not None:
            return (yield from self._looking_on(self._next, outcome, codec, control))
        return outcome

    def _looking_on(
        self, following: Serving, miss: Miss, codec: Codec[T], control: Control
    ) -> Flow[Outcome]:
        """Ask the next level; its hit is kept here too."""
        if miss.reason is Reason.SKIPPED:
            return miss
        started = perf_counter()
        outcome = yield from following.looking(miss.prompt, codec, control)
        following.note(outcome, Control(), perf_counter() - started)
        if isinstance(outcome, Miss):
            return miss
        if control.write:
            yield from updates.adopted(self._parts, outcome.entry)
        return outcome

    def glance(self, prompt: Prompt, codec: Codec[T], control: Control) -> Hit | None:
        """The exact match, if this process holds it in memory: microseconds, no I/O as a rule."""
        return glanced(self._parts, prompt, codec, control)

    def note(self, outcome: Outcome, control: Control, seconds: float = 0.0) -> None:
        """Count a lookup and tell whoever asked to be told; one that warms the cache is none."""
        if warming.running() is not None:
            return
        if isinstance(outcome, Hit):
            self._noting.hit(outcome, control, seconds)
        else:
            self._noting.miss(outcome, control, seconds)

    def saving(
        self,
        prompt: Prompt,
        answer: T,
        codec: Codec[T],
        control: Control,
        *,
        tokens: Callable[[T], int] | int = 0,
        keepable: Callable[[T], str] = lambda answer: "",
        exact_only: Callable[[T], str] = lambda answer: "",
        ttl: float | None = None,
        miss: Miss | None = None,
    ) -> Flow[bool]:
        """One update; `miss` is the lookup that led to it, whose embedding is used again."""
        if not control.write:
            return False
        rules = updates.Rules(tokens=tokens, keepable=keepable, exact_only=exact_only, ttl=ttl)
        entry = yield from updates.stored(
            self._parts, prompt, answer, codec, control, rules=rules, miss=miss
        )
        if entry is not None and miss is not None:
            self._learning.learn(miss, entry)
        if self._next is not None:
            seen = self._seen_by(self._next, miss)
            how = rules.rules()
            yield from self._next.saving(prompt, answer, codec, control, miss=seen, **how)
        return entry is not None

    def _seen_by(self, following: Serving, miss: Miss | None) -> Miss | None:
        """What the next level can use of a miss here: the embedding, if it embeds alike."""
        same = following._parts.embedder.identity == self._parts.embedder.identity
        return Miss(miss.prompt, miss.reason, query=miss.query) if miss and same else None

    def attempt(self, make: Callable[[], T], *, quiet: bool = False) -> T | None:
        """What `make` returns, or None when this prompt cannot be cached: logged, counted.

        `quiet`: this was logged as a warning before.
        """
        try:
            return make()
        except Exception as error:  # noqa: BLE001  # what cannot be keyed is not cached
            level = logging.DEBUG if quiet else logging.WARNING
            log.log(level, "semcache: not cached (%s)", redacted(error))
            self._parts.recorder.not_stored(type(error).__name__)
            return None

    def not_kept(self, error: Exception) -> None:
        """Log and count an answer that could not be stored."""
        updates.not_kept(self._parts, error)

    def coalesces(self, control: Control) -> bool:
        """Whether identical prompts in flight wait for one another under this setting."""
        return bool(self._coalesce) and control.read and control.write and not self._parts.shadow

    def similar_flight(self, miss: Miss) -> Flow[Flight | None]:
        """A flight whose answer would serve this prompt too, if similar ones are to wait."""
        flying = self.flights.of_scope(miss.prompt.scope) if self._coalesce == "semantic" else {}
        if miss.query is None or not flying:
            return None
        try:
            chosen = yield from answering(self._parts, miss.query, flying)
        except Exception as error:  # noqa: BLE001  # asking beside one another is no harm
            self._parts.recorder.error(error)
            return None
        return flying[chosen][0] if chosen is not None else None
