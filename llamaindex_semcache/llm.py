"""`cached(llm, cache)`: a twin of any LlamaIndex LLM that answers from the cache when it can.

The twin is of a subclass of the provider's own class and shares the original's state, so nothing
that checks a type, reads an attribute or calls a method can tell them apart. Only the eight methods
that end at the provider are cached; on a miss they call the original object, whose decorators,
rate limiter and callbacks then see the call once. Rejected: an LLM that holds another (agents ask
for methods of the provider's class, structured output changes its mode, system prompts get lost),
and transparent proxies (`proxy.predict` runs with the inner object and skips the cache).
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from llama_index.core.llms.llm import LLM
from llama_index.core.llms.structured_llm import StructuredLLM

from llamaindex_semcache.caching import Caching
from llamaindex_semcache.policy import Rules
from llamaindex_semcache.structured import CachedStructuredLLM
from llamaindex_semcache.twin import Twin, caching_of, twin_of
from semcache_core.cache import SemanticCache
from semcache_core.errors import ConfigError

T = TypeVar("T", bound=LLM)


def cached(llm: T, cache: SemanticCache, **rules: Any) -> T:
    """The same LLM, of the same type and sharing its state, behind a cache.

    `cache` is any semcache cache, LangChain's too. The rules:

    `question`: the template variable(s) that hold the question, looked for before `query_str` and
    `question`; or a callable `text -> str | None`, or a reader of `semcache_core.prompts`, for
    prompts without a template.
    `context`: how retrieved text in a template must match: "exact"; "set", in any order; "ignore",
    which needs `corpus`, a version (or a callable) that changes when the documents do.
    `conversation`: earlier turns match "exact"ly or, as a "sequence", by meaning.
    `turns`: which kinds of turn are cached and how (`Turns`); tool calls are not, by default.
    `prompt_types`: only templates of these types ("text_qa", "refine", ...) are cached.
    `tags`: only calls under `instrument_tags` with these items are cached.
    `when`: a callable `Asked -> bool` that decides for each call.
    `ttl`: seconds that an answer may be served.

    Raises `ConfigError` for arguments that cannot work, and for a model whose answers depend on
    more than what it is sent.
    """
    _check(llm, cache)
    made = _rules(rules)
    if isinstance(llm, StructuredLLM):
        return cast(T, _structured(llm, cached(llm.llm, cache, **rules)))
    if isinstance(llm, Twin) and caching_of(llm).cache is cache:
        llm = cast(T, caching_of(llm).original)  # once is enough
    return cast(T, twin_of(Caching(llm, cache, made)))


def _structured(llm: StructuredLLM, inner: LLM) -> StructuredLLM:
    if type(llm) not in (StructuredLLM, CachedStructuredLLM):
        return llm.model_copy(update={"llm": inner})
    fields = {name: getattr(llm, name) for name in type(llm).model_fields}
    return CachedStructuredLLM(**{**fields, "llm": inner})


def _rules(rules: dict[str, Any]) -> Rules:
    unknown = sorted(set(rules) - set(Rules.__slots__))
    if unknown:
        known = ", ".join(Rules.__slots__)
        raise ConfigError(f"cached: unknown argument {unknown[0]!r}; known are {known}")
    made = Rules(**rules)
    made.reading()
    return made


def _check(llm: Any, cache: Any) -> None:
    if not isinstance(cache, SemanticCache):
        raise ConfigError(f"cache: {cache!r} was given; give a semcache SemanticCache")
    if any(kind.__name__ == "MultiModalLLM" for kind in type(llm).__mro__):
        raise ConfigError(
            f"llm: {type(llm).__name__} is a MultiModalLLM, an interface that LlamaIndex left "
            "behind; use the provider's LLM, whose chat messages take images, and those are cached"
        )
    if not isinstance(llm, LLM):
        raise ConfigError(f"llm: a {type(llm).__name__} was given; give a LlamaIndex LLM")
    if getattr(llm, "track_previous_responses", False):
        raise ConfigError(
            "llm: with track_previous_responses=True its answers depend on a conversation that the "
            "provider keeps, which a cache cannot see; set it to False and send the history"
        )
