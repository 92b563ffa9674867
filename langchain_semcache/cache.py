"""`set_llm_cache(SemanticCache(...))`: the cache behind LangChain's own seam."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import Any, cast

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.runnables.config import RunnableConfig

from langchain_semcache import llm_string as model_string
from langchain_semcache.expected import expected
from langchain_semcache.explaining import AS_JSON, AS_LATEST, request_of
from langchain_semcache.payload import CODEC, named_anew, served, tokens
from langchain_semcache.planning import Plan, Planner
from langchain_semcache.prompts import parse
from langchain_semcache.question import Hook, question_hook
from langchain_semcache.reading import Reading, When
from langchain_semcache.reporting import fresh_mark, mark_of
from langchain_semcache.running import running_config
from langchain_semcache.traced import given
from langchain_semcache.warming import codec_for, warming_through
from semcache_core.cache import SemanticCache as Core
from semcache_core.control import Control
from semcache_core.embedders import make_embedder
from semcache_core.errors import ConfigError
from semcache_core.evaluators import conversation_evaluator
from semcache_core.explain import Explanation
from semcache_core.keys import reworded
from semcache_core.lru import LRU
from semcache_core.models import Hit, Miss, Outcome, Prompt
from semcache_core.turns import Turns
from semcache_core.warming import Warmed

Tenant = str | Callable[[RunnableConfig], str]


class SemanticCache(Core, BaseCache):
    """A semantic cache for LangChain: the question may be reworded, everything else must match.

    Takes what the core's cache takes, in LangChain's words: `embedding` is an `Embeddings`, a model
    name or path, or one of our embedders. `namespace` is the tenant: a str, or a callable of the
    running config (`lambda config: config["configurable"]["tenant"]`); if that fails, nothing is
    served and nothing is stored. `question` names the part of a longer prompt that may be
    paraphrased: a callable `text -> str | None`, a prompt template with one of the variables
    question, query or input (or a pair of template and variable), or a reader of
    `semcache_core.prompts`. `conversation` is "exact" or "sequence" (earlier turns are compared by
    meaning). `turns` says which turns are cached and how.
    `when` is a predicate on the running config (its tags, metadata, configurable): where it is
    false, or fails, nothing is served and nothing is stored. `cacheable` is a predicate on the text
    of the last human message (or the plain prompt), which has to answer alike each time.

    Raises `ConfigError` for arguments that cannot work.
    """

    embedder_argument = "embedding"

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        embedding: Any = None,
        namespace: Tenant = "",
        question: Hook | None = None,
        conversation: str = "exact",
        turns: Turns | None = None,
        when: When | None = None,
        cacheable: Callable[[str], bool] | None = None,
        **core: Any,
    ) -> None:
        if "embedder" in core:
            raise ConfigError("embedder: LangChain's word for it is embedding=")
        if conversation not in ("exact", "sequence"):
            raise ConfigError(
                f"conversation: {conversation!r} was given; give 'exact' or 'sequence'"
            )
        for name, rule in {"when": when, "cacheable": cacheable}.items():
            if rule is not None and not callable(rule):
                raise ConfigError(f"{name}: {rule!r} was given; give a callable -> bool")
        planner = Planner(turns or Turns(), question_hook(question), conversation, cacheable)
        self._misses: LRU[str, Miss] = LRU(4096)
        self._written: LRU[str, str] = LRU(4096)
        tenant = _tenant(namespace) if callable(namespace) else namespace
        if conversation == "sequence" and core.get("evaluator") is None:
            embedding = make_embedder(embedding)
            core["evaluator"] = conversation_evaluator(embedding)
        super().__init__(path, embedder=embedding, namespace=tenant, **core)
        self._reading = self.beside[Reading] = Reading(self, planner, when)

    # -- LangChain's seam ------------------------------------------------------------------------

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """The stored generations, fresh objects marked as a hit; None is a miss."""
        plan = self._plan(prompt, llm_string, self._reading.control)
        if plan is None:
            return None
        codec = codec_for(prompt)
        return self._served(self.find(plan.prompt, codec, self._reading.control()))

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """As `lookup`; nothing runs on the event loop but the exact match in memory."""
        plan = await self._reading.planned(
            lambda: self._plan(prompt, llm_string, self._reading.control)
        )
        if plan is None:
            return None
        codec = codec_for(prompt)
        return self._served(await self.afind(plan.prompt, codec, self._reading.control()))

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Store the model's generations, if this kind of turn and answer is to be stored."""
        plan = self._plan(prompt, llm_string)
        if plan is not None:
            self.save(plan.prompt, return_val, CODEC, self._reading.control(), **self._how(plan))
            self._remember(plan, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """As `update`."""
        plan = await self._reading.planned(lambda: self._plan(prompt, llm_string))
        if plan is not None:
            await self.asave(
                plan.prompt, return_val, CODEC, self._reading.control(), **self._how(plan)
            )
            self._remember(plan, return_val)

    def clear(self, namespace: str | None = None, **kwargs: Any) -> int:  # type: ignore[override]  # LangChain's returns None
        """Delete one namespace: the named one, else this cache's own, else everything."""
        own = self._namespace if isinstance(self._namespace, str) else ""
        return super().clear(namespace or own or None)

    async def aclear(self, namespace: str | None = None, **kwargs: Any) -> int:  # type: ignore[override]  # as above
        """As `clear`, on the event loop."""
        own = self._namespace if isinstance(self._namespace, str) else ""
        return await super().aclear(namespace or own or None)

    def explain(
        self, question: Any, *, exact: object = None, model: Any = None, **kwargs: Any
    ) -> Explanation:
        """Take a lookup apart: candidates, scores, the decision. Counts and changes nothing.

        With `model` (a chat model, an LLM, a twin, a binding): what `model.invoke(question,
        **kwargs)` would find; `question` is a text, messages or a prompt value. Without it a text
        is asked instead of the question of the newest request to this cache, or, where there was
        none or with `exact`, as `get` does. Takes a `Prompt` as well, as an outcome has it.

        Raises `ConfigError` for messages without a model, and `UncacheableError` for a request that
        is not cached.
        """
        asked, note = self._explained(question, exact, model, kwargs)
        return replace(super().explain(asked, exact=exact), note=note)

    async def aexplain(
        self, question: Any, *, exact: object = None, model: Any = None, **kwargs: Any
    ) -> Explanation:
        """As `explain`, on the event loop."""
        asked, note = self._explained(question, exact, model, kwargs)
        return replace(await super().aexplain(asked, exact=exact), note=note)

    # -- entries ---------------------------------------------------------------------------------

    @contextmanager
    def calling(
        self, model: Any, system: str | None = None, exact: object = None
    ) -> Iterator[Callable[[str], Any]]:
        """`model` of `warm`: a chat model, an LLM, or any runnable or function that ends at one.

        A chain is invoked with the question, or, if it takes one variable, with that.
        """
        if model is None:
            with super().calling(model, system, exact) as call:
                yield call
            return
        with warming_through(self, model, system) as call:
            yield call

    def import_sqlite_cache(
        self,
        path: str | PathLike[str],
        *,
        overwrite: bool = False,
        progress: Callable[[Warmed], None] | None = None,
    ) -> Warmed:
        """Store what LangChain's own `SQLiteCache` left in a file, for the same calls to find.

        A row counts as a pair. Rows that would not be stored if they were fresh (tool calls, cut
        short, unreadable) are left out. Raises `ConfigError`, `EmbedderError`, `StoreError`.
        """
        from langchain_semcache.importing import read_sqlite_cache, stored

        rows, how = read_sqlite_cache(path), {"overwrite": overwrite, "progress": progress}
        return stored(self._parts, self._plan, rows, **how)  # type: ignore[arg-type]  # by name

    def report_wrong(self, response: Any) -> None:
        """This answer was wrong, or cannot be parsed: never serve it for that prompt again.

        Takes a message (a hit, or a fresh answer that was stored), a generation, a result, a hit,
        its mark, or an id. An exact hit or a fresh answer is deleted; of a semantic hit the pair is
        blocked, and a learning policy is told. Raises `ConfigError` for what says nothing of it.
        """
        fresh = self._written.get(getattr(response, "id", None) or "")
        mark = mark_of(response) or (mark_of(fresh) if fresh else None)
        super().report_wrong(mark if mark is not None else response)

    # -- inside ----------------------------------------------------------------------------------

    def _explained(
        self, question: Any, exact: object, model: Any, kwargs: dict[str, Any]
    ) -> tuple[str | Prompt, str]:
        """What the core is to explain, and how it came to that."""
        if model is not None:
            return request_of(self._reading, question, model, kwargs), ""
        if isinstance(question, Prompt):
            return question, ""
        if not isinstance(question, str):
            raise ConfigError(
                f"question: a {type(question).__name__} was given without the model that is to "
                "answer it: explain(messages, model=model)"
            )
        latest = self._reading.latest
        if exact is not None or latest is None or latest.namespace != self.running_namespace():
            return question, AS_JSON
        return reworded(latest, question), AS_LATEST

    def _plan(
        self, prompt: str, llm_string: str, control: Callable[[], Control] | None = None
    ) -> Plan | None:
        return self._reading.usable(lambda: self._planned(prompt, llm_string), control)

    def _planned(self, prompt: str, llm_string: str) -> Plan:
        namespace = self.running_namespace()
        known = self._reading.plans.get((prompt, llm_string, namespace))
        if known is not None:
            return known
        params = model_string.read(llm_string)
        schemas = model_string.schemas(params, llm_string)
        exact, wanted = [llm_string, schemas], expected(params.call, schemas)
        plan = self._reading.planner.plan(parse(prompt), params, exact, namespace, wanted)
        # What a class's name stands for can change; a model that reads may have failed this once.
        if not params.classes and not self._reading.planner.slow:
            self._reading.plans.put((prompt, llm_string, namespace), plan)
        return plan

    def _served(self, outcome: Outcome) -> RETURN_VAL_TYPE | None:
        if isinstance(outcome, Hit):
            mark = outcome.mark
            served(outcome.answer, mark)
            named_anew(outcome.answer)
            given(self, mark)
            return cast(RETURN_VAL_TYPE, outcome.answer)
        self._misses.put(outcome.prompt.key, outcome)
        return None

    def _remember(self, plan: Plan, generations: RETURN_VAL_TYPE) -> None:
        """Under which key a fresh message was stored: it is not ours to mark."""
        given(self, fresh_mark(plan.prompt.key))
        for generation in generations:
            message = getattr(generation, "message", None)
            if message is not None and message.id:
                self._written.put(message.id, plan.prompt.key)

    def _how(self, plan: Plan) -> dict[str, Any]:
        return {
            "keepable": plan.unfit,
            "exact_only": plan.exact_only,
            "tokens": tokens,
            "miss": self._misses.pop(plan.prompt.key),
        }


def _tenant(named: Callable[[RunnableConfig], str]) -> Callable[[], str]:
    return lambda: named(running_config())
