"""What is done with a request: under which key, by meaning or exactly, which answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.outputs import Generation

from langchain_semcache.expected import Expected
from langchain_semcache.llm_string import Params
from langchain_semcache.payload import CODEC, calls_tools, tokens, unfit
from langchain_semcache.prompts import Message, QuestionHook, split
from langchain_semcache.results import generations
from semcache_core.keys import make_prompt
from semcache_core.models import Prompt
from semcache_core.prompts.shape import Shape, check_conversation
from semcache_core.turns import Mode, Turns


@dataclass(frozen=True, slots=True)
class Plan:
    """A request's key and the rules that hold for it."""

    prompt: Prompt
    mode: Mode
    tool_calls: Mode
    """Whether an answer that calls tools is kept."""
    expected: Expected = field(default_factory=Expected)

    def unfit(self, generations: Sequence[Generation]) -> str:
        """Why these answers are not kept; empty if they are."""
        if self.tool_calls == "off" and calls_tools(generations):
            return "tool calls"
        return unfit(generations) or self.expected.fault(generations)

    def of_results(self) -> dict[str, Any]:
        """The rules for a model's result, as a `Call` or `StreamCall` takes them."""
        return {
            "tokens": lambda result: tokens(generations(result)),
            "keepable": lambda result: self.unfit(generations(result)),
            "exact_only": lambda result: self.exact_only(generations(result)),
        }

    def exact_only(self, generations: Sequence[Generation]) -> str:
        """Why only the same prompt may find these answers; empty if meaning may."""
        return "the answer calls tools" if calls_tools(generations) else ""


@dataclass(frozen=True, slots=True)
class Planner:
    """How one cache reads requests."""

    turns: Turns
    hook: QuestionHook | Shape | None = None
    conversation: str = "exact"
    cacheable: Callable[[str], bool] | None = None

    def __post_init__(self) -> None:
        check_conversation(self.conversation, self.hook)

    @property
    def slow(self) -> bool:
        """Whether reading a request asks a model, so that it has no place on an event loop."""
        return isinstance(self.hook, Shape) and self.hook.slow

    def plan(
        self,
        parsed: list[Message] | str,
        params: Params,
        exact: Any,
        namespace: str,
        expected: Expected,
    ) -> Plan:
        """`exact` is everything beside the messages that must match: the model, its parameters."""
        request = split(parsed, self.hook, self.conversation)
        mode = self._mode(request.kind, params)
        if self.cacheable is not None and not self.cacheable(request.text):
            mode = "off"
        if went_wrong(parsed, expected):
            mode = "off"  # whoever is in a loop of failures must be able to get out of it
        question = request.question
        semantic = mode == "semantic" and question.text is not None
        prompt = make_prompt(
            kind=CODEC.name,
            exact=[exact, question.exact if semantic else request.whole],
            query=question.text if semantic else None,
            namespace=namespace,
            model=params.model,
            turns=request.turns if semantic else (),
            temperature=params.temperature,
            exact_only=question.why or ("" if semantic else f"{request.kind}: exact only"),
            whole=request.whole if request.shaped and semantic else None,
        )
        calls = self.turns.forced_tool if params.forced_tool else self.turns.tool_calls
        return Plan(prompt, mode, calls, expected)

    def _mode(self, kind: str, params: Params) -> Mode:
        if kind == "after tools":
            return self.turns.after_tools
        if kind == "react":
            return self.turns.react
        if params.forced_tool:
            return self.turns.forced_tool
        return self.turns.tools_offered if params.tools else self.turns.question


def went_wrong(parsed: list[Message] | str, expected: Expected) -> bool:
    """Whether a tool failed in this turn, or was called with arguments that it refuses."""
    turn: list[Message] = []
    for message in reversed(parsed if isinstance(parsed, list) else []):
        if message["role"] == "human":
            break
        turn.append(message)
    failed = any(one["role"] == "tool" and one.get("status") == "error" for one in turn)
    return failed or any(expected.misfit(one.get("tool_calls", ())) for one in turn)
