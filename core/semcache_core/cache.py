"""The facade: one cache, for threads and for the event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import uuid4

from semcache_core import telemetry, warming
from semcache_core.arguments import settled
from semcache_core.asking import Asked, Call, asking
from semcache_core.assembly import assemble
from semcache_core.codecs import JSON
from semcache_core.control import Control, current
from semcache_core.envelope import seal, unseal
from semcache_core.errors import (
    ConfigError,
    OfflineMiss,
    PayloadError,
    StoreClosed,
    StoreError,
    UncacheableError,
)
from semcache_core.explain import Explanation
from semcache_core.flow import (
    TOO_LONG,
    Survey,
    adopt,
    answering,
    concluded,
    embedded,
    keep,
    look,
    place_for,
    surveyed,
    withholding,
)
from semcache_core.judges import EqualAnswers
from semcache_core.keys import make_prompt, variant
from semcache_core.learning import Label, Learning
from semcache_core.lru import LRU
from semcache_core.models import Candidate, Entry, Hit, Miss, Outcome, Prompt, Reason, Score, Scored
from semcache_core.protocols import Clock, Codec, Evaluator, Judge, Policy
from semcache_core.redaction import redacted
from semcache_core.relay import Relays
from semcache_core.singleflight import Flight, Flights
from semcache_core.stats import Stats
from semcache_core.steps import Flow, arun, blocking, run
from semcache_core.together import Calls, asking_all
from semcache_core.variety import Variety
from semcache_core.warming import Warmed

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")
TOO_LARGE = "larger than max_bytes or max_entry_bytes"
log = logging.getLogger("semcache")

Namespace = str | Callable[[], str]


class SemanticCache:
    """Answers that were paid for once, found again however the question is worded.

    `path`: a folder; None keeps everything in memory. `embedder`: a model name or path, one of
    our embedders, a LangChain or LlamaIndex embedding, a Chroma embedding function, a callable.
    `threshold` (in [0, 1]) or `max_false_hit_rate` (false hits / hits, in (0, 1)) say how sure a
    hit must be; with neither, a default measured for the embedder. The threshold is on what the
    evaluator gives: by default a probability that the answer serves, and not a cosine. Labels for
    a budget come from `judge` (`semcache_core.judges`): by default equal texts are the same answer,
    which is strict; models that word answers anew want `SimilarAnswers` or `ModelJudge`.

    `namespace` is the tenant, or a callable that names the running one; if it fails, nothing is
    served or stored. `ttl` is in seconds; `max_entries` and `max_bytes` evict by `eviction` ("lru",
    "lfu", "fifo", "random", "gdsf", "tinylfu"); answers over `max_entry_bytes` (16 MiB) are not
    stored.

    `coalesce`: identical prompts in flight wait for one call of the model; "semantic": similar ones
    too. `temperature` ("ignore", "skip", "sample"), `answers` and `seed` say how varied answers are
    (`variety.Variety`). `next_cache` is looked into after a miss: its hits are copied here, and
    fresh answers are stored in both; `delete`, `clear` and `report_wrong` reach it, `close` not.
    `prices` of a million tokens, by model, let `stats()` say what was saved.

    Raises `ConfigError` for an argument that cannot work and `StoreError` for a path that cannot
    be used. Afterwards no failure of a part reaches the caller: it is logged, counted in
    `stats()`, and the lookup is a miss.
    """

    embedder_argument: ClassVar[str] = "embedder"
    """What this class's constructor calls the embedder."""

    @classmethod
    def from_config(
        cls, source: str | PathLike[str] | Mapping[str, Any] | None = None, /, **overrides: Any
    ) -> Self:
        """A cache from a YAML or JSON file, or a mapping (docs/configuration.md).

        Environment variables (SEMCACHE_THRESHOLD=0.9) go before it, and `overrides`, the
        constructor's own arguments, before those. Without `source` it is the file that
        SEMCACHE_CONFIG names, if any. Raises `ConfigError` for each setting that cannot work,
        with its line, and what the constructor raises.
        """
        from semcache_core.config import load

        return load(source, overrides).make(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._made_with = (args, kwargs)
        return made

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        embedder: Any = None,
        threshold: float | None = None,
        max_false_hit_rate: float | None = None,
        confidence: float | None = None,
        evaluator: Evaluator | None = None,
        policy: Policy | str | None = None,
        judge: Judge | None = None,
        namespace: Namespace = "",
        top_k: int = 5,
        post_process: Any = None,
        coalesce: bool | str = True,
        shadow: bool = False,
        temperature: str = "ignore",
        answers: int = 1,
        seed: int = 0,
        next_cache: SemanticCache | None = None,
        prices: Mapping[str, float] | None = None,
        clock: Clock = time.time,
        **storage: Any,
    ) -> None:
        if not isinstance(namespace, str) and not callable(namespace):
            raise ConfigError(f"namespace: {namespace!r} was given; give a str or a callable")
        if coalesce not in (True, False, "semantic"):
            raise ConfigError(f"coalesce: {coalesce!r} was given; give True, False or 'semantic'")
        if next_cache is not None and not isinstance(next_cache, SemanticCache):
            raise ConfigError(f"next_cache: {next_cache!r} was given; give a SemanticCache")
        given: dict[str, Any] = {"evaluator": evaluator, "judge": judge}
        given |= {"shadow": shadow, "clock": clock}
        given |= {"top_k": top_k, "answers": answers, "seed": seed}
        storage = settled(type(self), path, storage, **given)
        self._namespace = namespace
        self._coalesce = coalesce
        self._next = next_cache
        self._parts = assemble(
            path,
            embedder=embedder,
            threshold=threshold,
            max_false_hit_rate=max_false_hit_rate,
            confidence=confidence,
            evaluator=evaluator,
            policy=policy,
            top_k=top_k,
            post_process=post_process,
            shadow=shadow,
            variety=Variety(temperature, answers, seed),
            prices=prices,
            clock=clock,
            **storage,
        )
        self._learning = Learning(
            self._parts.store,
            self._parts.policy,
            judge or EqualAnswers(),
            self._parts.recorder,
            self._parts.evaluator.name,
        )
        self.flights = Flights()
        self.relays = Relays()
        self._warned = False
        self._recent: LRU[tuple[str, str], Hit] = LRU(1024)
        self.beside: dict[type, Any] = {}  # what adapters keep with this cache, by its type

    # -- questions and JSON answers -------------------------------------------------------------

    def get(self, question: str, *, exact: object = None) -> Any:
        """The stored answer, or None; `exact` is whatever must be the same (a model, a user)."""
        return _answer(self.find(self.prompt(JSON.name, exact, question), JSON))

    async def aget(self, question: str, *, exact: object = None) -> Any:
        """As `get`, on the event loop."""
        return _answer(await self.afind(self.prompt(JSON.name, exact, question), JSON))

    def put(self, question: str, answer: Any, *, exact: object = None, **how: Any) -> bool:
        """Store a JSON value as the answer; True when it is in the record. `how`: ttl, tokens."""
        return self.save(self.prompt(JSON.name, exact, question), answer, JSON, **how)

    async def aput(self, question: str, answer: Any, *, exact: object = None, **how: Any) -> bool:
        """As `put`, on the event loop."""
        return await self.asave(self.prompt(JSON.name, exact, question), answer, JSON, **how)

    def explain(self, question: str | Prompt, *, exact: object = None) -> Explanation:
        """Take a lookup apart: candidates, scores, the decision. Counts and changes nothing."""
        return run(self._explaining(question, exact))

    async def aexplain(self, question: str | Prompt, *, exact: object = None) -> Explanation:
        """As `explain`, on the event loop."""
        return await arun(self._explaining(question, exact))

    def warm(
        self,
        pairs: Iterable[Any],
        model: Any = None,
        *,
        system: str | None = None,
        exact: object = None,
        overwrite: bool = False,
        batch: int = warming.BATCH,
        progress: Callable[[Warmed], None] | None = None,
    ) -> Warmed:
        """Store answers that are known already, where later calls will find them.

        `pairs`: (question, answer), or mappings that may add `tokens` and `ttl`. `model` is what
        the program asks: a function of a question that ends at a model cached here, or, in
        LangChain's and LlamaIndex's classes, their models, chains and engines. It is asked with
        each answer in hand, so that no model runs. A chat model is asked the bare question, after
        `system` if that is given. Without `model` the answers are those of
        `get(question, exact=exact)`. What is there already stays, unless `overwrite`; so warming
        that was interrupted is resumed by doing it again. `progress` is called after each `batch`.

        Raises `ConfigError` for a pair or a model that cannot work, `EmbedderError`, `StoreError`.
        """
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ConfigError(f"batch: {batch!r} was given; give a whole number of at least 1")
        how: dict[str, Any] = {"overwrite": overwrite, "batch": batch, "progress": progress}
        with self.calling(model, system, exact) as call:
            return warming.warm(self, self._parts, pairs, call, **how)

    def prompts(
        self, question: str, model: Any = None, *, system: str | None = None, exact: object = None
    ) -> list[Prompt]:
        """What `model` (see `warm`) looks up for a question, for `explain`; no model runs."""
        with self.calling(model, system, exact) as call:
            return warming.prompts(self, question, call)

    @contextmanager
    def calling(
        self, model: Any, system: str | None = None, exact: object = None
    ) -> Iterator[Callable[[str], Any]]:
        """How the program asks `model`, as a function of a question. Raises `ConfigError`."""
        if system is not None or not (model is None or callable(model)):
            raise ConfigError(
                f"model: {model!r} was given; give a function of a question, and any system prompt "
                "inside it, or use LangChain's or LlamaIndex's SemanticCache"
            )
        yield model or (lambda question: self.get(question, exact=exact))

    # -- prompts and any answers: what adapters use ----------------------------------------------

    def prompt(self, kind: str, exact: object, query: str | None = None, **more: Any) -> Prompt:
        """A prompt in the running tenant's namespace (see `keys.make_prompt`).

        Raises `UncacheableError` when the tenant cannot be named or `exact` has no stable form.
        """
        namespace = self.running_namespace()
        return make_prompt(kind=kind, exact=exact, query=query, namespace=namespace, **more)

    def find(self, prompt: Prompt, codec: Codec[Any], control: Control | None = None) -> Outcome:
        """Look a prompt up; never raises but for `OfflineMiss`."""
        return run(self._finding(prompt, codec, control or current()))

    async def afind(
        self, prompt: Prompt, codec: Codec[Any], control: Control | None = None
    ) -> Outcome:
        """As `find`, on the event loop."""
        return await arun(self._finding(prompt, codec, control or current()))

    def save(
        self,
        prompt: Prompt,
        answer: Any,
        codec: Codec[Any],
        control: Control | None = None,
        **how: Any,
    ) -> bool:
        """Store an answer; True when it is in the record. Never raises. `how`: see `saving`."""
        return run(self.saving(prompt, answer, codec, control or current(), **how))

    async def asave(
        self,
        prompt: Prompt,
        answer: Any,
        codec: Codec[Any],
        control: Control | None = None,
        **how: Any,
    ) -> bool:
        """As `save`, on the event loop."""
        return await arun(self.saving(prompt, answer, codec, control or current(), **how))

    def ask(
        self, prompt: Callable[[], Prompt], call: Call[T], control: Control | None = None
    ) -> Asked[T]:
        """Get or compute. Raises what the model's call raises, and `OfflineMiss`."""
        return run(asking(self, self.attempt(prompt), call, control or current()))

    async def aask(
        self, prompt: Callable[[], Prompt], call: Call[T], control: Control | None = None
    ) -> Asked[T]:
        """As `ask`, on the event loop."""
        return await arun(asking(self, self.attempt(prompt), call, control or current()))

    def ask_all(
        self, prompts: Sequence[Prompt | None], calls: Calls[T], control: Control | None = None
    ) -> list[Asked[T]]:
        """Get or compute for several prompts, the misses in one call; None cannot be cached."""
        return run(asking_all(self, prompts, calls, control or current()))

    async def aask_all(
        self, prompts: Sequence[Prompt | None], calls: Calls[T], control: Control | None = None
    ) -> list[Asked[T]]:
        """As `ask_all`, on the event loop."""
        return await arun(asking_all(self, prompts, calls, control or current()))

    # -- the same, as flows ----------------------------------------------------------------------

    def looking(self, prompt: Prompt, codec: Codec[T], control: Control) -> Flow[Outcome]:
        """One lookup, not counted yet: `note` counts it."""
        if (given := warming.running()) is not None:
            return given.hit(self, prompt, codec)
        if not control.read:
            return Miss(prompt, Reason.SKIPPED, "reading is switched off here")
        if self._parts.variety.skips(prompt):
            return Miss(prompt, Reason.SKIPPED, f"drawn at temperature {prompt.temperature}")
        hit = self.glance(prompt, codec, control)
        if hit is not None:
            return hit
        try:
            outcome = yield from look(self._parts, prompt, control)
        except Exception as error:  # noqa: BLE001  # a failing part must not break the user's call
            outcome = self._failed(prompt, error)
        if isinstance(outcome, Hit):
            outcome = self._decoded(outcome, codec)
        if isinstance(outcome, Miss) and self._next is not None:
            return (yield from self._looking_on(outcome, codec, control))
        return outcome

    def _looking_on(self, miss: Miss, codec: Codec[T], control: Control) -> Flow[Outcome]:
        """Ask the next level; its hit is kept here too."""
        following = self._next
        if following is None or miss.reason is Reason.SKIPPED:
            return miss
        started = perf_counter()
        outcome = yield from following.looking(miss.prompt, codec, control)
        following.note(outcome, Control(), perf_counter() - started)
        if isinstance(outcome, Miss):
            return miss
        if control.write:
            yield from self._adopting(outcome.entry)
        return outcome

    def _adopting(self, entry: Entry) -> Flow[None]:
        try:
            yield from adopt(self._parts, entry)
        except Exception as error:  # noqa: BLE001  # the hit is served; only the copy is lost
            self.not_kept(error)

    def glance(self, prompt: Prompt, codec: Codec[T], control: Control) -> Hit | None:
        """The exact match, if this process holds it in memory: microseconds, no I/O as a rule."""
        try:
            return self._glanced(prompt, codec, control)
        except Exception as error:  # noqa: BLE001  # a failing store must not break the user's call
            self._failed(prompt, error)
            return None

    def _glanced(self, prompt: Prompt, codec: Codec[T], control: Control) -> Hit | None:
        parts = self._parts
        plain = control.read and not parts.shadow and not parts.variety.varies(prompt)
        entry = parts.store.hot(prompt.key) if plain else None
        if entry is None or withholding(parts, prompt, entry, control):
            return None
        age = max(0.0, parts.clock() - entry.created)
        read = self._read(entry, codec)
        if isinstance(read, str):
            return None
        return Hit(prompt, entry, 1.0, Reason.EXACT, age, 1.0, "the same prompt", read[0])

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
        how: dict[str, Any] = {"tokens": tokens, "keepable": keepable, "exact_only": exact_only}
        how |= {"ttl": ttl, "miss": miss}
        stored = yield from self._storing(prompt, answer, codec, control, **how)
        if self._next is not None:
            how["miss"] = self._seen_by(self._next, miss)
            yield from self._next.saving(prompt, answer, codec, control, **how)
        return stored

    def _storing(
        self,
        prompt: Prompt,
        answer: T,
        codec: Codec[T],
        control: Control,
        *,
        tokens: Callable[[T], int] | int,
        keepable: Callable[[T], str],
        exact_only: Callable[[T], str],
        ttl: float | None,
        miss: Miss | None,
    ) -> Flow[bool]:
        recorder = self._parts.recorder
        try:
            if why := keepable(answer):
                recorder.not_stored(why)
                return False
            if why := exact_only(answer):
                prompt = replace(prompt, query=None, exact_only=why)
            payload = seal(codec.name, codec.encode(answer))
            spent = tokens if isinstance(tokens, int) else tokens(answer)
            place = yield from place_for(self._parts, prompt, anew=not control.read)
            entry = yield from keep(
                self._parts, prompt, payload, key=place, tokens=spent, ttl=ttl, miss=miss
            )
        except Exception as error:  # noqa: BLE001  # the answer is the caller's; caching it is ours
            self.not_kept(error)
            return False
        if not entry.seq:
            recorder.not_stored(TOO_LARGE)
            return False
        recorder.stored()
        telemetry.stored()
        if control.session is not None:
            self._parts.sessions.note(control.session, entry.key)
        if miss is not None:
            self._learning.learn(miss, entry)
        return True

    def _seen_by(self, following: SemanticCache, miss: Miss | None) -> Miss | None:
        """What the next level can use of a miss here: the embedding, if it embeds alike."""
        same = following._parts.embedder.identity == self._parts.embedder.identity
        return Miss(miss.prompt, miss.reason, query=miss.query) if miss and same else None

    def note(self, outcome: Outcome, control: Control, seconds: float = 0.0) -> None:
        """Count a lookup and tell whoever asked to be told."""
        if warming.running() is not None:
            return
        if isinstance(outcome, Hit):
            self._parts.recorder.hit(outcome, seconds)
            telemetry.lookup(outcome, seconds)
            self._parts.store.touch(outcome.entry.key)
            if outcome.reason is Reason.SEMANTIC:
                self._recent.put((outcome.prompt.key, outcome.id), outcome)
            if control.session is not None:
                self._parts.sessions.note(control.session, outcome.entry.key)
            _tell(control.on_hit, outcome)
        else:
            self._parts.recorder.miss(outcome, seconds)
            telemetry.lookup(outcome, seconds)
            self._warn_once(outcome)
            _tell(control.on_miss, outcome)

    def not_kept(self, error: Exception) -> None:
        """Log and count an answer that could not be stored."""
        log.warning("semcache: not stored (%s)", redacted(error))
        self._parts.recorder.error(error)
        self._parts.recorder.not_stored(type(error).__name__)

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

    # -- entries ---------------------------------------------------------------------------------

    def report_wrong(self, hit: Hit | Mapping[str, Any]) -> None:
        """This hit was false: never serve that entry for that prompt again.

        Takes a hit, or the mark that adapters put on a served answer (`Hit.mark`). An exact hit's
        entry is deleted; a semantic hit's pair is blocked, and a learning policy is told. Raises
        `ConfigError` for anything else.
        """
        mark = hit.mark if isinstance(hit, Hit) else hit
        if not (isinstance(mark, Mapping) and {"id", "prompt", "hit"} <= mark.keys()):
            raise ConfigError(f"report_wrong: give a hit or its mark, not {hit!r}")
        if mark["hit"] == Reason.EXACT.value:
            # Of several answers to a prompt a fresh one does not know its place: all go.
            several = self._parts.variety.answers if mark.get("fresh") else 1
            gone = self.delete(*(variant(mark["id"], number) for number in range(several)))
            if not gone and mark.get("named"):
                log.warning("semcache: report_wrong: nothing is stored under %.80r", mark["id"])
            return
        if self._next is not None:
            self._next.report_wrong(mark)
        self._parts.blocked.block(mark["prompt"], mark["id"])
        self._parts.recorder.reported()
        served = hit if isinstance(hit, Hit) else self._recent.get((mark["prompt"], mark["id"]))
        if served is not None:
            self._teach(served, correct=False)

    def delete(self, *ids: str) -> int:
        """Delete entries by id, in the next levels too; returns how many there were here."""
        if self._next is not None:
            self._next.delete(*ids)
        return len(self._parts.store.delete(ids))

    async def adelete(self, *ids: str) -> int:
        """As `delete`, on the event loop."""
        if self._next is not None:
            await self._next.adelete(*ids)
        return len(await self._parts.store.adelete(ids))

    def clear(self, namespace: str | None = None) -> int:
        """Delete everything, or one namespace, in the next levels too; how many were here."""
        if self._next is not None:
            self._next.clear(namespace)
        return self._parts.store.clear(namespace)

    async def aclear(self, namespace: str | None = None) -> int:
        """As `clear`, on the event loop."""
        if self._next is not None:
            await self._next.aclear(namespace)
        return await self._parts.store.aclear(namespace)

    def record_id(self) -> str:
        """Names the record behind this cache: two caches over one folder have the same."""
        store = self._parts.store
        if not store.meta("id"):
            store.set_meta("id", uuid4().hex)
        return store.meta("id") or ""

    def drop_session(self, session: str) -> bool:
        """Forget what a session was served; False if it was not known."""
        return self._parts.sessions.drop(session)

    def labels(self) -> tuple[Label, ...]:
        """The newest comparisons of fresh answers with what would have been served."""
        return tuple(self._learning.labels)

    def stats(self, prices: Mapping[str, float] | None = None) -> Stats:
        """What happened since the cache was opened, in this process.

        `prices`: of a million tokens, by model ("*": any other), for `money_saved`; else those that
        the cache was made with. Raises `ConfigError` for what are no prices.
        """
        return self._parts.recorder.picture(**self._sizes(), prices=prices)

    def flush(self) -> bool:
        """Wait until everything put so far is indexed, counted and learnt; whether it is.

        What fails is logged, counted in `stats()`, and tried again later.
        """
        learnt = self._tried("flushing", self._learning.wait)
        return self._tried("flushing", self._parts.store.flush) and learnt

    async def aflush(self) -> bool:
        """As `flush`, on the event loop."""
        return await arun(blocking(self.flush))

    def close(self) -> None:
        """Flush and release files and threads; a second call does nothing."""
        self._tried("closing", self._learning.close)
        self._parts.store.close()

    async def aclose(self) -> None:
        """As `close`, on the event loop."""
        await arun(blocking(self.close))

    def __reduce__(self) -> Any:
        """Opened anew where it is unpickled, for worker processes."""
        args, kwargs = self._made_with
        if not any(args) and not any(kwargs.get(name) for name in ("path", "entries", "url")):
            raise TypeError("a cache in memory cannot be pickled: give it a path")
        return _opened, (type(self), args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: who copies a model that holds a cache means the same cache."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- inside ----------------------------------------------------------------------------------

    def _sizes(self) -> dict[str, int]:
        store = self._parts.store
        try:
            return {"entries": store.count(), "size": store.size()}
        except StoreClosed:
            raise
        except StoreError as error:
            log.warning("semcache: the entries cannot be counted: %s", error)
            self._parts.recorder.error(error)
            return {}

    def _tried(self, doing: str, work: Callable[[], None]) -> bool:
        """Whether it went well."""
        try:
            work()
        except StoreClosed:
            raise
        except StoreError as error:
            log.warning("semcache: %s: %s", doing, error)
            self._parts.recorder.error(error)
            return False
        return True

    def _finding(self, prompt: Prompt, codec: Codec[T], control: Control) -> Flow[Outcome]:
        started = perf_counter()
        outcome = yield from self.looking(prompt, codec, control)
        self.note(outcome, control, perf_counter() - started)
        if control.offline and isinstance(outcome, Miss):
            raise OfflineMiss(f"offline, and nothing is stored: {outcome.reason.value}")
        return outcome

    def _explaining(self, question: str | Prompt, exact: object) -> Flow[Explanation]:
        asked = question
        prompt = asked if isinstance(asked, Prompt) else self.prompt(JSON.name, exact, asked)
        try:
            survey = yield from surveyed(self._parts, prompt, current(), thorough=True)
        except StoreClosed:
            raise
        except Exception as error:  # noqa: BLE001  # a failing part is what is to be explained
            return Explanation(Survey(prompt, self._parts.clock()), self._failed(prompt, error))
        return Explanation(survey, concluded(self._parts, survey))

    def running_namespace(self) -> str:
        """The tenant's name here and now; raises `UncacheableError` when it cannot be named."""
        if isinstance(self._namespace, str):
            return self._namespace
        try:
            name = self._namespace()
        except Exception as error:
            raise UncacheableError(f"the namespace callable failed: {error!r}") from error
        if not isinstance(name, str) or not name:
            raise UncacheableError(f"the namespace callable returned {name!r}, not a tenant's name")
        return name

    def _decoded(self, hit: Hit, codec: Codec[Any]) -> Outcome:
        """The hit with its answer; an entry that cannot be read is a miss."""
        read = self._read(hit.entry, codec)
        if isinstance(read, str):
            return Miss(hit.prompt, Reason.UNREADABLE, read)
        return replace(hit, answer=read[0])

    def _read(self, entry: Entry, codec: Codec[Any]) -> tuple[Any] | str:
        """The answer, or why it cannot be read (logged and counted)."""
        try:
            opened = unseal(entry.payload)
            if opened.codec != codec.name:
                raise PayloadError(f"the entry is of kind {opened.codec!r}, not {codec.name!r}")
            return (codec.decode(opened.data),)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the model can answer
            log.warning("semcache: entry %s is unreadable: %s", entry.key[:12], error)
            self._parts.recorder.error(error)
            return str(error) or type(error).__name__

    def _warn_once(self, miss: Miss) -> None:
        if miss.detail is TOO_LONG and not self._warned:
            self._warned = True
            log.warning(
                "semcache: a question is longer than the embedder's window; such questions are "
                "cached for exact repeats only. Name the question inside the prompt (question=) or "
                "take an embedder with a longer window. This is said once."
            )

    def _failed(self, prompt: Prompt, error: Exception) -> Miss:
        log.warning("semcache: lookup failed (%s)", redacted(error))
        self._parts.recorder.error(error)
        return Miss(prompt, Reason.FAILED, redacted(error))

    def _teach(self, hit: Hit, *, correct: bool) -> None:
        try:
            query = run(embedded(self._parts, hit.prompt))
        except Exception as error:  # noqa: BLE001  # the pair is blocked; only the label is lost
            self._parts.recorder.error(error)
            return
        scored = Scored(Candidate(hit.entry, hit.similarity), Score(hit.score, "served"))
        self._learning.report(Miss(hit.prompt, hit.reason, query=query), scored, correct)


def _opened(kind: type[T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return kind(*args, **kwargs)


def _answer(outcome: Outcome) -> Any:
    return outcome.answer if isinstance(outcome, Hit) else None


def _tell(callback: Callable[[Any], Any] | None, outcome: Outcome) -> None:
    if callback is not None:
        try:
            callback(outcome)
        except Exception as error:  # noqa: BLE001  # the user's callback is not the user's call
            log.warning("semcache: a callback failed: %r", error)
