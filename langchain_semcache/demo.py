"""`semcache demo`: a bookshop's chatbot whose LangChain chains share one cache on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import yaml
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate

from langchain_semcache.cache import SemanticCache
from semcache_core.control import settings
from semcache_core.demos import Asked
from semcache_core.embedders import make_embedder
from semcache_core.models import Hit, Miss

EMBEDDER = "all-MiniLM-L6-v2"
OPENAI = "gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Script:
    """The demonstration's questions and answers, as `demo.yaml` has them."""

    assistants: Mapping[str, str]
    """Name to system prompt."""
    topics: Mapping[str, Mapping[str, str]]
    questions: tuple[Mapping[str, str], ...]

    def answer(self, system: str, question: str) -> str:
        """What the stand-in model says; raises `KeyError` for a question not in the script."""
        return self.topics[self._asked[self._names[system], question]]["answer"]

    def topic(self, to: str, question: str) -> str | None:
        """What a question of that assistant is about; None if it is not in the script."""
        return self._asked.get((to, question))

    @property
    def _names(self) -> dict[str, str]:
        return {prompt: name for name, prompt in self.assistants.items()}

    @property
    def _asked(self) -> dict[tuple[str, str], str]:
        return {(one["to"], one["ask"]): one["about"] for one in self.questions}


@cache
def script() -> Script:
    """The script that comes with the package."""
    told = yaml.safe_load(files("langchain_semcache").joinpath("demo.yaml").read_text("utf-8"))
    return Script(told["assistants"], told["topics"], tuple(told["questions"]))


class StandIn(BaseChatModel):
    """Answers from the script, as slowly as a hosted model; for want of a key."""

    model_name: str = "stand-in"
    first_token: float = 0.4
    """Seconds before a hosted model begins to answer."""
    a_token: float = 0.012
    """Seconds for each further token."""

    @property
    def _llm_type(self) -> str:
        return "semcache-stand-in"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model_name": self.model_name}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = script().answer(*(message.text for message in messages))
        spoken, heard = _tokens(text), sum(_tokens(message.text) for message in messages)
        sleep(self.first_token + spoken * self.a_token)
        message = AIMessage(
            text,
            usage_metadata={
                "input_tokens": heard,
                "output_tokens": spoken,
                "total_tokens": heard + spoken,
            },
            response_metadata={"model_name": self.model_name, "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _tokens(text: str) -> int:
    """About as many as a tokenizer finds in English: four characters each."""
    return max(1, len(text) // 4)


def pick_model() -> BaseChatModel:
    """OpenAI's if its package and a key are there, else the stand-in."""
    if os.environ.get("OPENAI_API_KEY") and find_spec("langchain_openai"):
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=OPENAI, temperature=0)
    return StandIn()


@dataclass(slots=True)
class ChatDemo:
    """The script, asked question by question through LCEL chains; a `semcache_core.demos.Demo`."""

    model: BaseChatModel
    found: int
    paces: list[float] = field(default_factory=list)
    """Seconds of the model's own answers, to estimate what hits save."""

    @property
    def title(self) -> str:
        name = getattr(self.model, "model_name", type(self.model).__name__)
        return f"LangChain, {name}, {EMBEDDER}"

    def __iter__(self) -> Iterator[Asked]:
        chains = {
            name: ChatPromptTemplate([("system", system), ("human", "{question}")]) | self.model
            for name, system in script().assistants.items()
        }
        known: set[tuple[str, str]] = set()
        for one in script().questions:
            topic = (one["to"], one["about"])
            yield self._ask(chains[one["to"]], one, topic in known)
            known.add(topic)

    def _ask(self, chain: Any, one: Mapping[str, str], expected: bool) -> Asked:
        outcomes: list[Hit | Miss] = []
        with settings(on_hit=outcomes.append, on_miss=outcomes.append):
            started = perf_counter()
            message = chain.invoke({"question": one["ask"]})
            seconds = perf_counter() - started
        outcome = outcomes[-1]
        matched, similarity = _nearest(outcome)
        hit = isinstance(outcome, Hit)
        if not hit:
            self.paces.append(seconds)
        return Asked(
            question=one["ask"],
            to=one["to"],
            expected=expected,
            hit=hit,
            reason=outcome.reason.value,
            detail=outcome.detail,
            answer=message.text,
            seconds=seconds,
            note=one.get("why", ""),
            matched=matched,
            similarity=similarity,
            right=not hit or script().topic(one["to"], matched or "") == one["about"],
            tokens=_spent(message),
            seconds_saved=max(0.0, self._pace(message) - seconds) if hit else 0.0,
        )

    def _pace(self, message: AIMessage) -> float:
        """Seconds the model would have taken: known of the stand-in, else its mean so far."""
        if isinstance(self.model, StandIn):
            return self.model.first_token + _tokens(message.text) * self.model.a_token
        return sum(self.paces) / len(self.paces) if self.paces else 0.0


def _nearest(outcome: Hit | Miss) -> tuple[str | None, float | None]:
    if isinstance(outcome, Hit):
        return outcome.entry.query, outcome.similarity
    if outcome.considered:
        best = max((scored.candidate for scored in outcome.considered), key=lambda c: c.similarity)
        return best.entry.query, best.similarity
    return None, None


def _spent(message: AIMessage) -> int:
    """Tokens the model reported for this answer, now or when it was stored."""
    usage = message.response_metadata.get("semcache", {}).get("usage") or message.usage_metadata
    return int(usage["total_tokens"]) if usage else 0


@contextmanager
def chat_demo(path: Path, fresh: bool) -> Iterator[ChatDemo]:
    """LangChain's global cache is ours while this is open, and afterwards what it was before."""
    embedder = make_embedder(EMBEDDER)
    embedder.embed(["The model is loaded here, not while the first question is timed."])
    before = get_llm_cache()
    with SemanticCache(path, embedding=embedder) as cache_on_disk:
        if fresh:
            cache_on_disk.clear()
        set_llm_cache(cache_on_disk)
        try:
            yield ChatDemo(pick_model(), cache_on_disk.stats().entries)
        finally:
            set_llm_cache(before)
