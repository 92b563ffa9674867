"""The facade: one cache, for threads and for the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from semcache_core import reported, upkeep, warming
from semcache_core.arguments import settled
from semcache_core.asking import Asked, Call, asking
from semcache_core.assembly import assemble, learning_of
from semcache_core.codecs import JSON
from semcache_core.control import Control, current
from semcache_core.errors import ConfigError
from semcache_core.explain import Explanation
from semcache_core.keys import make_prompt
from semcache_core.learning import Label
from semcache_core.lifetime import Lifetime
from semcache_core.models import Hit, Outcome, Prompt
from semcache_core.namespaces import Namespace, running
from semcache_core.protocols import Clock, Codec, Evaluator, Judge, Policy
from semcache_core.serving import Serving, explained
from semcache_core.stats import Stats
from semcache_core.steps import arun, blocking, run
from semcache_core.together import Calls, asking_all
from semcache_core.variety import Variety
from semcache_core.warming import Warmed

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class SemanticCache(Lifetime, Serving):
    """Answers that were paid for once, found again however the question is worded.

    `path`: a folder; None keeps everything in memory. `embedder`: a model name or path, one of
    our embedders, a LangChain or LlamaIndex embedding, a Chroma embedding function, a callable.
    `threshold` (in [0, 1]) or `max_false_hit_rate` (false hits / hits, in (0, 1)) say how sure a
    hit must be; with neither, the evaluator's own, where it has one. The threshold is on what the
    evaluator gives: by default a probability that the answer serves, and not a cosine. Labels for
    a budget come from `judge` (`semcache_core.judges`): by default equal texts are the same answer,
    which is strict; models that word answers anew want `SimilarAnswers` or `ModelJudge`.

    `namespace` is the tenant, or a callable that names the running one; if it fails, nothing is
    served or stored. `ttl` is in seconds; `max_entries` and `max_bytes` evict by `eviction` ("lru",
    "lfu", "fifo", "random", "gdsf", "tinylfu"); answers over `max_entry_bytes` (16 MiB) are not
    stored.

    `post_process` ("first", "random", "softmax", or a function) picks among acceptable answers;
    `softmax_temperature` (0.05) is that of "softmax", over scores that lie close together.

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

    _next: SemanticCache | None

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
        softmax_temperature: float | None = None,
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
        if next_cache is not None and not isinstance(next_cache, SemanticCache):
            raise ConfigError(f"next_cache: {next_cache!r} was given; give a SemanticCache")
        given: dict[str, Any] = {"namespace": namespace, "coalesce": coalesce, "top_k": top_k}
        given |= {"evaluator": evaluator, "judge": judge, "shadow": shadow, "clock": clock}
        given["softmax_temperature"] = softmax_temperature
        storage = settled(type(self), path, storage, **given, answers=answers, seed=seed)
        parts = assemble(
            path,
            embedder=embedder,
            threshold=threshold,
            max_false_hit_rate=max_false_hit_rate,
            confidence=confidence,
            evaluator=evaluator,
            policy=policy,
            top_k=top_k,
            post_process=post_process,
            softmax_temperature=softmax_temperature,
            shadow=shadow,
            variety=Variety(temperature, answers, seed),
            prices=prices,
            clock=clock,
            **storage,
        )
        super().__init__(parts, learning_of(parts, judge), next_cache, coalesce)
        self._namespace = namespace
        self.beside: dict[type, Any] = {}  # what adapters keep with this cache, by its type

    # -- questions and JSON answers -------------------------------------------------------------

    def get(self, question: str, *, exact: object = None) -> Any:
        """The stored answer, or None; `exact` is whatever must be the same (a model, a user)."""
        prompt = self._prompt(question, exact)
        return None if prompt is None else self._answer(self.find(prompt, JSON))

    async def aget(self, question: str, *, exact: object = None) -> Any:
        """As `get`, on the event loop."""
        prompt = self._prompt(question, exact)
        return None if prompt is None else self._answer(await self.afind(prompt, JSON))

    def put(self, question: str, answer: Any, *, exact: object = None, **how: Any) -> bool:
        """Store a JSON value as the answer; True when it is in the record. `how`: ttl, tokens.

        After a `get` of the same question that missed, its embedding and candidates are used: the
        answer yields a label, as one of `memoize` does.
        """
        prompt = self._prompt(question, exact)
        if prompt is None:
            return False
        how = {"miss": self.misses.take(prompt)} | how
        return self.save(prompt, answer, JSON, **how)

    async def aput(self, question: str, answer: Any, *, exact: object = None, **how: Any) -> bool:
        """As `put`, on the event loop."""
        prompt = self._prompt(question, exact)
        if prompt is None:
            return False
        how = {"miss": self.misses.take(prompt)} | how
        return await self.asave(prompt, answer, JSON, **how)

    def explain(self, question: str | Prompt, *, exact: object = None) -> Explanation:
        """Take a lookup apart: candidates, scores, the decision. Counts and changes nothing."""
        return run(explained(self._parts, self._asked(question, exact)))

    async def aexplain(self, question: str | Prompt, *, exact: object = None) -> Explanation:
        """As `explain`, on the event loop."""
        return await arun(explained(self._parts, self._asked(question, exact)))

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
        how: dict[str, Any] = {"overwrite": overwrite, "batch": batch, "progress": progress}
        with self.calling(model, system, exact) as call:
            return warming.warm(self._parts, pairs, call, **how)

    def prompts(
        self, question: str, model: Any = None, *, system: str | None = None, exact: object = None
    ) -> list[Prompt]:
        """What `model` (see `warm`) looks up for a question, for `explain`; no model runs."""
        with self.calling(model, system, exact) as call:
            return warming.prompts(self._parts.store, question, call)

    @contextmanager
    def calling(
        self, model: Any, system: str | None = None, exact: object = None
    ) -> Iterator[Callable[[str], Any]]:
        """How the program asks `model`, as a function of a question. Raises `ConfigError`."""
        warming.check_function(model, system)
        yield model or (lambda question: self.get(question, exact=exact))

    # -- prompts and any answers: what adapters use ----------------------------------------------

    def prompt(self, kind: str, exact: object, query: str | None = None, **more: Any) -> Prompt:
        """A prompt in the running tenant's namespace (see `keys.make_prompt`).

        Raises `UncacheableError` when the tenant cannot be named or `exact` has no stable form.
        """
        namespace = self.running_namespace()
        return make_prompt(kind=kind, exact=exact, query=query, namespace=namespace, **more)

    def running_namespace(self) -> str:
        """The tenant's name here and now; raises `UncacheableError` when it cannot be named."""
        return running(self._namespace)

    def find(self, prompt: Prompt, codec: Codec[Any], control: Control | None = None) -> Outcome:
        """Look a prompt up; never raises but for `OfflineMiss`."""
        control = control or current()
        hit = self.hitting(prompt, codec, control)
        return hit if hit is not None else run(self.finding(prompt, codec, control))

    async def afind(
        self, prompt: Prompt, codec: Codec[Any], control: Control | None = None
    ) -> Outcome:
        """As `find`, on the event loop."""
        control = control or current()
        hit = self.hitting(prompt, codec, control)
        return hit if hit is not None else await arun(self.finding(prompt, codec, control))

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

    # -- entries ---------------------------------------------------------------------------------

    def report_wrong(self, hit: Hit | Mapping[str, Any]) -> None:
        """This hit was false: never serve that entry for that prompt again.

        Takes a hit, or the mark that adapters put on a served answer (`Hit.mark`). An exact hit's
        entry is deleted; a semantic hit's pair is blocked, and a learning policy is told. Raises
        `ConfigError` for anything else.
        """
        mark = reported.mark_of(hit)
        if reported.withdrawn(self._parts, mark, self.delete):
            return
        if self._next is not None:
            self._next.report_wrong(mark)
        served = hit if isinstance(hit, Hit) else self._noting.served(mark["prompt"], mark["id"])
        reported.blocked(self._parts, self._learning, mark, served)

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
        return upkeep.record_id(self._parts.store)

    def drop_session(self, session: str) -> bool:
        """Forget what a session was served; False if it was not known."""
        return self._parts.sessions.drop(session)

    def labels(self) -> tuple[Label, ...]:
        """The newest comparisons of fresh answers with what would have been served.

        Those of shadow mode are kept in the record, without the questions.
        """
        return tuple(self._learning.labels)

    def stats(self, prices: Mapping[str, float] | None = None) -> Stats:
        """What happened since the cache was opened, in this process.

        `prices`: of a million tokens, by model ("*": any other), for `money_saved`; else those that
        the cache was made with. Raises `ConfigError` for what are no prices.
        """
        return self._parts.recorder.picture(**upkeep.sizes(self._parts), prices=prices)

    def flush(self) -> bool:
        """Wait until everything put so far is indexed, counted and learnt; whether it is.

        What fails is logged, counted in `stats()`, and tried again later.
        """
        learnt = upkeep.tried(self._parts, "flushing", self._learning.wait)
        return upkeep.tried(self._parts, "flushing", self._parts.store.flush) and learnt

    async def aflush(self) -> bool:
        """As `flush`, on the event loop."""
        return await arun(blocking(self.flush))

    def close(self) -> None:
        """Flush and release files and threads; a second call does nothing."""
        upkeep.tried(self._parts, "closing", self._learning.close)
        self._parts.store.close()

    async def aclose(self) -> None:
        """As `close`, on the event loop."""
        await arun(blocking(self.close))

    def _asked(self, question: str | Prompt, exact: object) -> Prompt:
        return question if isinstance(question, Prompt) else self._made(question, exact)

    def _prompt(self, question: str, exact: object) -> Prompt | None:
        """None where the tenant cannot be named, or `exact` (a tool's result, say) has no form."""
        _check_question(question)
        return self.attempt(lambda: self._made(question, exact))

    def _made(self, question: str, exact: object) -> Prompt:
        _check_question(question)
        namespace = running(self._namespace)
        return make_prompt(kind=JSON.name, exact=exact, query=question, namespace=namespace)

    def _answer(self, outcome: Outcome) -> Any:
        """What `get` returns; of a miss is kept what the `put` that may follow can use."""
        if isinstance(outcome, Hit):
            return outcome.answer
        self.misses.keep(outcome)
        return None


def _check_question(question: object) -> None:
    if not isinstance(question, str):
        raise ConfigError(f"question: {question!r} was given; give a str")
