"""What one cached model caches, and how it reads its prompts: the arguments of `cached`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llama_index.core.llms.llm import LLM
from llama_index_instrumentation.dispatcher import active_instrument_tags

from llamaindex_semcache.fingerprint import Fingerprint
from llamaindex_semcache.prompts import Hook, Parts, Reading, Request
from llamaindex_semcache.scope import QUESTIONS, Context, running_scope
from semcache_core.cache import SemanticCache
from semcache_core.errors import ConfigError
from semcache_core.models import Prompt
from semcache_core.prompts.shape import Shape, check_conversation
from semcache_core.turns import Turns

Question = str | Sequence[str] | Hook | Shape | None
Corpus = str | Callable[[], str] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What `when` is shown of a call."""

    prompt: Any
    """The chat messages, or the completion's text."""
    kwargs: Mapping[str, Any]
    prompt_type: str | None
    """The template's, as "text_qa" or "refine"; None for a call without a template."""
    tags: Mapping[str, Any]
    """What `instrument_tags` says here."""


When = Callable[[Asked], bool]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one cached model; raises `ConfigError` for what cannot work."""

    question: Question = None
    context: Context = "exact"
    corpus: Corpus = None
    conversation: Literal["exact", "sequence"] = "exact"
    turns: Turns = field(default_factory=Turns)
    prompt_types: Collection[str] | None = None
    tags: Mapping[str, Any] | None = None
    when: When | None = None
    ttl: float | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("context", ("exact", "set", "ignore")),
            ("conversation", ("exact", "sequence")),
        ):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise ConfigError(f"{name}: {given!r} was given; give one of {known}")
        if self.context == "ignore" and self.corpus is None:
            raise ConfigError(
                "context: 'ignore' serves an answer whatever was retrieved, so it needs corpus=, "
                "a version (or a callable) that changes when the documents do"
            )
        check_conversation(self.conversation, self.question)
        if isinstance(self.prompt_types, str):
            raise ConfigError(
                f"prompt_types: the string {self.prompt_types!r} was given; give a set of them"
            )
        if self.ttl is not None and not self.ttl > 0:
            raise ConfigError(f"ttl: {self.ttl!r} was given; give seconds, more than 0")

    def reading(self) -> Reading:
        """How prompts are read under these rules; raises `ConfigError`."""
        question = self.question
        if question is None or isinstance(question, str):
            names: Sequence[str] = [question] if question else []
            return self._reading(names, None)
        if callable(question):
            return self._reading([], question)
        if not (isinstance(question, Iterable) and all(isinstance(n, str) for n in question)):
            raise ConfigError(
                f"question: {question!r} was given; give the name of a template's variable, "
                "several, a callable text -> str | None, or a reader of semcache_core.prompts"
            )
        return self._reading(question, None)

    def _reading(self, names: Sequence[str], hook: Hook | Shape | None) -> Reading:
        return Reading((*names, *QUESTIONS), hook, self.context, self.conversation)

    def admit(self, prompt: Any, kwargs: Mapping[str, Any]) -> bool:
        """Whether this call is cached at all."""
        if self.prompt_types is None and self.tags is None and self.when is None:
            return True
        scope, tags = running_scope(), active_instrument_tags.get()
        kind = scope.prompt_type if scope else None
        if self.prompt_types is not None and kind not in self.prompt_types:
            return False
        if any(tags.get(name) != value for name, value in (self.tags or {}).items()):
            return False
        return self.when is None or bool(self.when(Asked(prompt, kwargs, kind, tags)))

    def version(self) -> str | None:
        """The corpus's version as it is now."""
        return self.corpus() if callable(self.corpus) else self.corpus


@dataclass(frozen=True, slots=True)
class Keyed:
    """A call's prompt, and whether an answer that calls tools may be stored under it."""

    prompt: Prompt
    tool_calls: bool


class Keys:
    """Makes the prompts of one model."""

    def __init__(self, llm: LLM, cache: SemanticCache, rules: Rules) -> None:
        self.fingerprint = Fingerprint(llm)
        self._llm = llm
        self._cache = cache
        self._rules = rules
        self._reading = rules.reading()
        self.slow = isinstance(rules.question, Shape) and rules.question.slow

    def chat(self, kind: str, messages: Any, kwargs: Mapping[str, Any]) -> Keyed | None:
        """None: this call is not cached. Raises `UncacheableError`."""
        if not self._rules.admit(messages, kwargs):
            return None
        return self._keyed(kind, self._reading.chat(self._llm, messages), kwargs)

    def complete(self, kind: str, prompt: str, kwargs: Mapping[str, Any]) -> Keyed | None:
        """As `chat`."""
        if not self._rules.admit(prompt, kwargs):
            return None
        return self._keyed(kind, self._reading.complete(self._llm, prompt), kwargs)

    def _keyed(self, kind: str, parts: Parts, kwargs: Mapping[str, Any]) -> Keyed | None:
        scope, turns = running_scope(), self._rules.turns
        request = Request.of(kwargs, structured=scope is not None and scope.structured)
        mode = request.mode(parts.kind, turns)
        if mode == "off":
            return None
        calls = turns.forced_tool if request.forced else turns.tool_calls
        return Keyed(
            self._prompt(kind, parts, request, semantic=mode == "semantic"), calls != "off"
        )

    def _prompt(self, kind: str, parts: Parts, request: Request, *, semantic: bool) -> Prompt:
        semantic = semantic and parts.question is not None
        asked = parts.exact if semantic else parts.all
        exact = [self.fingerprint.current(), self._rules.version(), request.exact, asked]
        temperature = request.exact.get("temperature", getattr(self._llm, "temperature", None))
        return self._cache.prompt(
            kind,
            exact,
            parts.question if semantic else None,
            model=self._llm.metadata.model_name,
            turns=parts.turns if semantic else (),
            temperature=temperature,
            exact_only=parts.why or ("" if semantic else f"{parts.kind}: exact only"),
            whole=parts.whole if semantic else None,
        )
