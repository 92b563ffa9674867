"""From a call of a model to a `Prompt`: which part may be paraphrased, and what must match."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM

from llamaindex_semcache.fingerprint import is_secret, open_headers, stable
from llamaindex_semcache.messages import (
    Plain,
    has_tool_results,
    last_user,
    plain_messages,
    said_messages,
    spoken,
    text_and_others,
)
from llamaindex_semcache.scope import (
    Context,
    Masked,
    from_template,
    masked_messages,
    masked_text,
)
from semcache_core.prompts.draft import Said
from semcache_core.prompts.shape import Shape
from semcache_core.questions import own_question
from semcache_core.turns import Mode, Turns

Hook = Callable[[str], str | None]
Kind = Literal["question", "after tools", "react"]

# LlamaIndex's ReAct agent writes its tool calls as text, its CodeAct agent as code in such tags.
_AGENT_TEXT = re.compile(r"^(?:Thought|Action|Observation):|<execute>", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parts:
    """A call taken apart."""

    question: str | None
    exact: Any
    """What must match beside the question; with no question, the whole call."""
    why: str = ""
    """Why there is no question."""
    kind: Kind = "question"
    turns: tuple[str, ...] = ()
    whole: Any = None
    """What an exact repeat repeats, where the question alone does not say it."""

    @property
    def all(self) -> Any:
        """All of the call, for when only an exact match may hit."""
        return [self.question, self.exact, self.turns] if self.whole is None else self.whole


@dataclass(frozen=True, slots=True)
class Reading:
    """How one cached model reads its prompts."""

    names: tuple[str, ...]
    """Template variables that may hold the question, the user's own first."""
    hook: Hook | Shape | None = None
    context: Context = "exact"
    conversation: Literal["exact", "sequence"] = "exact"

    def chat(self, llm: LLM, messages: Sequence[ChatMessage]) -> Parts:
        """Raises `UncacheableError` for content without a stable form."""
        plain = plain_messages(messages)
        masked = masked_messages(llm, messages, self.names, self.context, plain_messages)
        if masked is None and isinstance(self.hook, Shape) and not from_template():
            return _shaped(self.hook, said_messages(messages), plain, _kind(plain))
        return _scoped(masked, _kind(plain)) if masked else self._conversation(plain)

    def complete(self, llm: LLM, prompt: str) -> Parts:
        """A completion's text: by its template, else as a question of its own."""
        kind: Kind = "react" if _AGENT_TEXT.search(prompt) else "question"
        masked = masked_text(llm, prompt, self.names, self.context)
        if masked is None and isinstance(self.hook, Shape) and not from_template():
            return _shaped(self.hook, [Said("user", prompt)], prompt, kind)
        own = None if from_template() else own_question(prompt)
        return _scoped(masked, kind) if masked else self._text(prompt, kind, own)

    def _text(self, text: str, kind: Kind, own: str | None) -> Parts:
        hook = None if isinstance(self.hook, Shape) else self.hook
        found = own if hook is None else hook(text)
        if not found:
            return Parts(None, text, "the prompt holds more than a question; see question=", kind)
        before, there, after = text.rpartition(found)
        return Parts(found, [before.strip(), after.strip()] if there else text, "", kind)

    def _conversation(self, plain: list[Plain]) -> Parts:
        last = last_user(plain)
        kind = _kind(plain)
        if last is None or (plain[last + 1 :] and kind != "after tools"):
            return Parts(None, plain, "the last message is not the user's", kind)
        text, others = text_and_others(plain[last]["content"])
        one = None if from_template() or "\n" in text.strip() else text.strip()
        parts = self._text(text, kind, one)
        if parts.question is None:
            return Parts(None, plain, parts.why, kind)
        before, turns = plain[:last], ()
        if self.conversation == "sequence":
            before, turns = spoken(before)  # type: ignore[assignment]  # of any length
        question = {**plain[last], "content": [parts.exact, others]}
        return Parts(parts.question, [before, question, plain[last + 1 :]], "", kind, turns)


def _scoped(masked: Masked, kind: Kind) -> Parts:
    return Parts(masked.question, masked.exact, "", kind)


def _shaped(shape: Shape, said: Sequence[Said], whole: Any, kind: Kind) -> Parts:
    """The call as a reader takes it apart."""
    last = last_user(whole) if isinstance(whole, list) else 0
    if last is None or (isinstance(whole, list) and whole[last + 1 :] and kind != "after tools"):
        return Parts(None, whole, "the last message is not the user's", kind)
    draft = shape.read(said)
    if draft.question is None:
        return Parts(None, whole, draft.why, kind)
    return Parts(draft.question, draft.exact, "", kind, whole=whole)


def _kind(plain: Sequence[Plain]) -> Kind:
    last = last_user(plain)
    if last is not None and has_tool_results(plain[last + 1 :]):
        return "after tools"
    texts = (text_and_others(message["content"])[0] for message in plain)
    return "react" if any(map(_AGENT_TEXT.search, texts)) else "question"


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a call that are not its prompt, and what they say about tools."""

    exact: Any
    tools: bool
    forced: bool
    """One tool must be called: structured output."""

    @classmethod
    def of(cls, kwargs: Mapping[str, Any], *, structured: bool) -> Request:
        """Raises `UncacheableError` for an argument without a stable form."""
        kept = {k: v for k, v in kwargs.items() if not is_secret(k, v) and v is not None}
        kept |= {k: told for k, v in kwargs.items() if (told := open_headers(k, v))}
        tools = kept.get("tools") or kept.get("functions") or ()
        forced = bool(tools) and len(tools) == 1 and (structured or _demands(kept))
        return cls(stable(kept), bool(tools), forced)

    def mode(self, kind: Kind, turns: Turns) -> Mode:
        """How the table of turns has it."""
        if kind == "after tools":
            return turns.after_tools
        if kind == "react":
            return turns.react
        if self.forced:
            return turns.forced_tool
        return turns.tools_offered if self.tools else turns.question


def _demands(kwargs: Mapping[str, Any]) -> bool:
    """Whether the call must end in a tool call, in the words of OpenAI or Anthropic."""
    choice = kwargs.get("tool_choice") or kwargs.get("function_call")
    if isinstance(choice, Mapping):
        return choice.get("type") in {"any", "tool", "function"} or "name" in choice
    return choice not in (None, "auto", "none")
