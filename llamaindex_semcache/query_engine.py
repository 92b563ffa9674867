"""`CachedQueryEngine`: whole responses by the question, so that a hit saves the retrieval too.

A cached LLM behind an engine hits only when the same passages were retrieved, and of real
paraphrases a quarter to a third retrieve the same ones. Here the question alone is compared, and
what binds the answer to its documents is their version.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Literal

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle

from llamaindex_semcache.corpus import Corpus, versioned
from llamaindex_semcache.engine_settings import EngineSettings
from llamaindex_semcache.events import tell
from llamaindex_semcache.responses import RESPONSE, AnyResponse, Stored, whole
from semcache_core.asking import Asked, Call
from semcache_core.cache import SemanticCache
from semcache_core.control import SWITCHED_OFF, UNKEYED, Control, current
from semcache_core.errors import ConfigError
from semcache_core.models import Hit, Miss, Prompt


class CachedQueryEngine(BaseQueryEngine):
    """A query engine that answers rephrased questions without retrieving and without the model.

    `engine` is any query engine, `cache` any semcache cache. `corpus` is what tells when the
    documents change: an index, several, a version, or a callable that returns one; without it the
    indices behind the engine are found and watched. `bind="nodes"` retrieves at every question and
    serves an answer only if it was made from the same nodes: it saves the model's call alone, and
    needs no corpus. `exact` is whatever else must match, as a user's role (a value, or a callable
    that returns it). `ttl` is in seconds.

    A served response has the attribute `semcache`, for `cache.report_wrong`. Raises `ConfigError`
    for arguments that cannot work.
    """

    def __init__(
        self,
        engine: BaseQueryEngine,
        cache: SemanticCache,
        *,
        corpus: Corpus | None = None,
        bind: Literal["corpus", "nodes"] = "corpus",
        exact: object = None,
        ttl: float | None = None,
    ) -> None:
        _check(engine, cache, bind, ttl)
        super().__init__(engine.callback_manager)
        self.engine = engine
        self._cache = cache
        self._exact = exact
        self._ttl = ttl
        self._by_nodes = bind == "nodes"
        self._version: Callable[[], str] = str if self._by_nodes else versioned(corpus, engine)
        self._settings = EngineSettings(engine)

    # -- asking ----------------------------------------------------------------------------------

    def _query(self, query_bundle: QueryBundle) -> AnyResponse:
        if not _enabled():
            return self._run(query_bundle, None)
        with self._settings.watched():
            nodes = self.engine.retrieve(query_bundle) if self._by_nodes else None
        prompt = self._cache.attempt(lambda: self._prompt(query_bundle, nodes))
        if prompt is None:
            current().past(UNKEYED)
            return self._run(query_bundle, nodes)
        fresh: list[AnyResponse] = []

        def make() -> Stored:
            fresh.append(self._run(query_bundle, nodes))
            return Stored.of(fresh[0])

        asked = self._cache.ask(lambda: prompt, self._call(make, _unused))
        return self._response(asked, fresh, asynchronous=False)

    async def _aquery(self, query_bundle: QueryBundle) -> AnyResponse:
        if not _enabled():
            return await self._arun(query_bundle, None)
        with self._settings.watched():
            nodes = await self._aretrieved(query_bundle)
        prompt = self._cache.attempt(lambda: self._prompt(query_bundle, nodes))
        if prompt is None:
            current().past(UNKEYED)
            return await self._arun(query_bundle, nodes)
        fresh: list[AnyResponse] = []

        async def make() -> Stored:
            fresh.append(await self._arun(query_bundle, nodes))
            return Stored.of(fresh[0])

        asked = await self._cache.aask(lambda: prompt, self._call(_unused, make))
        return self._response(asked, fresh, asynchronous=True)

    async def _aretrieved(self, query: QueryBundle) -> list[NodeWithScore] | None:
        if not self._by_nodes:
            return None
        retrieve: Any = self.engine.aretrieve  # type: ignore[attr-defined]  # checked at the start
        nodes: list[NodeWithScore] = await retrieve(query)
        return nodes

    def _run(self, query: QueryBundle, nodes: list[NodeWithScore] | None) -> AnyResponse:
        with self._settings.watched():
            if nodes is None:
                return self.engine._query(query)
            return self.engine.synthesize(query, nodes)

    async def _arun(self, query: QueryBundle, nodes: list[NodeWithScore] | None) -> AnyResponse:
        with self._settings.watched():
            if nodes is None:
                return await self.engine._aquery(query)
            return await self.engine.asynthesize(query, nodes)

    def _call(self, sync: Any, asynchronous: Any) -> Call[Stored]:
        return Call(RESPONSE, sync, asynchronous, keepable=_unfit, ttl=self._ttl)

    def _prompt(self, query: QueryBundle, nodes: list[NodeWithScore] | None) -> Prompt:
        exact = self._exact() if callable(self._exact) else self._exact
        bound = self._version() if nodes is None else sorted(node.node.hash for node in nodes)
        besides = [query.custom_embedding_strs, query.image_path, exact]
        return self._cache.prompt(
            RESPONSE.name,
            [self._settings.current(), bound, besides],
            query.query_str,
            model=type(self.engine).__name__,
        )

    # -- responses -------------------------------------------------------------------------------

    def _response(
        self, asked: Asked[Stored], fresh: list[AnyResponse], *, asynchronous: bool
    ) -> AnyResponse:
        if asked.hit is not None:
            return _served(asked.answer, asked.hit, asynchronous=asynchronous)
        [response] = fresh
        if asked.outcome is not None and isinstance(asked.outcome, Miss):
            self._keep_at_the_end(response, asked.answer, asked.outcome)
        return response

    def _keep_at_the_end(self, response: AnyResponse, stored: Stored, miss: Miss) -> None:
        """A stream has just begun: it is stored when its reader has come to its end."""
        control = current()
        if isinstance(response, StreamingResponse):
            response.response_gen = self._kept(response.response_gen, stored, miss, control)
        elif isinstance(response, AsyncStreamingResponse):
            response.response_gen = self._akept(response.response_gen, stored, miss, control)

    def _kept(
        self, source: Any, stored: Stored, miss: Miss, control: Control
    ) -> Generator[str, None, None]:
        said = []
        for token in source:
            said.append(token)
            yield token
        answer = whole(stored, "".join(said))
        how = {"keepable": _unfit, "ttl": self._ttl, "miss": miss}
        self._cache.save(miss.prompt, answer, RESPONSE, control, **how)

    async def _akept(
        self, source: Any, stored: Stored, miss: Miss, control: Control
    ) -> AsyncGenerator[str, None]:
        said = []
        async for token in source:
            said.append(token)
            yield token
        answer = whole(stored, "".join(said))
        how = {"keepable": _unfit, "ttl": self._ttl, "miss": miss}
        await self._cache.asave(miss.prompt, answer, RESPONSE, control, **how)

    # -- everything else is the engine's ---------------------------------------------------------

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.engine.retrieve(query_bundle)

    def synthesize(self, *args: Any, **kwargs: Any) -> AnyResponse:
        return self.engine.synthesize(*args, **kwargs)

    async def asynthesize(self, *args: Any, **kwargs: Any) -> AnyResponse:
        return await self.engine.asynthesize(*args, **kwargs)

    def _get_prompts(self) -> PromptDictType:
        return self.engine._get_prompts()

    def _get_prompt_modules(self) -> PromptMixinType:
        return self.engine._get_prompt_modules()

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        self.engine._update_prompts(prompts_dict)

    def __getattr__(self, name: str) -> Any:
        if name == "engine":  # not there yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.engine, name)


def _check(engine: Any, cache: Any, bind: str, ttl: float | None) -> None:
    if not isinstance(engine, BaseQueryEngine):
        raise ConfigError(f"engine: a {type(engine).__name__} was given; give a query engine")
    if not isinstance(cache, SemanticCache):
        raise ConfigError(f"cache: {cache!r} was given; give a semcache SemanticCache")
    if bind not in ("corpus", "nodes"):
        raise ConfigError(f"bind: {bind!r} was given; give 'corpus' or 'nodes'")
    if bind == "nodes" and not callable(getattr(engine, "aretrieve", None)):
        raise ConfigError(
            f"bind: 'nodes' needs an engine that retrieves and synthesizes in two steps, as "
            f"RetrieverQueryEngine; a {type(engine).__name__} does not"
        )
    if ttl is not None and not ttl > 0:
        raise ConfigError(f"ttl: {ttl!r} was given; give seconds, more than 0")


def _enabled() -> bool:
    """Whether the cache is used; raises `OfflineMiss` where nothing else may answer."""
    control = current()
    if not control.on:
        control.past(SWITCHED_OFF)
    return control.on


def _unused() -> Any:  # pragma: no cover  # a call has both forms, a query uses one
    raise NotImplementedError


def _unfit(stored: Stored) -> str:
    if stored.streamed and stored.said is None:
        return "stored when the stream ends"
    return stored.unfit


def _served(stored: Stored, hit: Hit, *, asynchronous: bool) -> AnyResponse:
    text = stored.said if isinstance(stored.said, str) else stored.said.model_dump_json()
    tell(hit, text)
    response = stored.response(asynchronous=asynchronous)
    response.semcache = hit.mark  # type: ignore[union-attr]  # an attribute of our own
    return response
