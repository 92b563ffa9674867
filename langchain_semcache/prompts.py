"""From LangChain's messages, or the JSON that a `BaseCache` is handed, to a request split in two.

What LangChain lets vary without changing the answer is normalised away first: ids, usage, provider
metadata, message against message chunk, a string against a single text block. Tool-call ids are
random, so they are numbered in order of appearance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from semcache_core.errors import UncacheableError
from semcache_core.prompts.draft import Said
from semcache_core.prompts.shape import Shape
from semcache_core.questions import own_question

Message = dict[str, Any]
"""A normalised message: role, content, and what else the model is shown of it."""

QuestionHook = Callable[[str], "str | Question | None"]

_ROLES = {
    "HumanMessage": "human",
    "SystemMessage": "system",
    "AIMessage": "ai",
    "ToolMessage": "tool",
    "FunctionMessage": "function",
    "ChatMessage": "chat",
}
_SPOKEN = {"human": "user", "ai": "assistant"}
# Of what an earlier answer brings along from its provider, what the next model is shown.
_AI_EXTRAS = ("function_call", "audio", "refusal", "reasoning_content")
_BLOCK_NOISE = ("id", "index", "annotations", "extras")
_CALL_KEYS = ("name", "args")
_REACT = re.compile(r"^(?:Thought|Action|Observation):", re.MULTILINE)
_TEXT_KEYS = {"type", "text", "id", "index", "annotations", "cache_control"}


@dataclass(frozen=True, slots=True)
class Question:
    """The part of a prompt that may be paraphrased, and the rest, which must match exactly."""

    text: str | None
    exact: Any
    why: str = ""
    """Why there is no question, when `text` is None."""


Kind = Literal["question", "after tools", "react"]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt taken apart."""

    question: Question
    whole: Any
    """All of it, for when only an exact match may hit."""
    kind: Kind = "question"
    text: str = ""
    """The last human message's text, or the plain prompt: what predicates and hooks read."""
    turns: tuple[str, ...] = ()
    """Earlier turns, when they are compared by meaning; `question.exact` is then without them."""
    shaped: bool = False
    """A reader made the question, so that only the whole says what was asked."""


def parse(prompt: str) -> list[Message] | str:
    """What a `BaseCache` is handed: a chat's messages as JSON, or a plain text."""
    if not prompt.startswith("["):
        return prompt
    try:
        dumped = json.loads(prompt)
        return normalised([_plain(item) for item in dumped])
    except (ValueError, TypeError, KeyError):
        return prompt  # a text that happens to begin with a bracket


def _plain(item: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if item["lc"] != 1 or item["type"] != "constructor":
        raise ValueError("not a message")
    return item["id"][-1], item["kwargs"]


def from_messages(messages: Sequence[Any]) -> list[Message]:
    """Normalise `BaseMessage`s."""
    return normalised([(type(m).__name__, dict(m)) for m in messages])


def normalised(messages: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Message]:
    """Class names and fields to messages as the model is shown them."""
    ids: dict[str, str] = {}
    return [_message(name, fields, ids) for name, fields in messages]


def _message(name: str, fields: Mapping[str, Any], ids: dict[str, str]) -> Message:
    name = name.removesuffix("Chunk")
    role = _ROLES.get(name, name)
    message: Message = {"role": role, "content": _content(fields.get("content"), role, ids)}
    _add(message, "name", fields.get("name"))
    _add(message, "as", fields.get("role"))
    _add(message, "status", None if fields.get("status") == "success" else fields.get("status"))
    for key in ("tool_calls", "invalid_tool_calls"):
        _add(message, key, [_call(call, ids) for call in fields.get(key) or ()])
    if fields.get("tool_call_id") is not None:
        message["answers"] = _number(fields["tool_call_id"], ids)
    extras = fields.get("additional_kwargs") or {}
    if role == "ai":
        extras = {key: extras[key] for key in _AI_EXTRAS if extras.get(key)}
    _add(message, "extras", extras)
    return message


def _add(message: Message, key: str, value: Any) -> None:
    if value:
        message[key] = value


def _call(call: Mapping[str, Any], ids: dict[str, str]) -> Message:
    return {"id": _number(call.get("id"), ids)} | {key: call.get(key) for key in _CALL_KEYS}


def _number(call_id: Any, ids: dict[str, str]) -> str:
    return ids.setdefault(str(call_id), f"call {len(ids)}")


def _content(content: Any, role: str, ids: dict[str, str]) -> Any:
    blocks = [content] if isinstance(content, str | Mapping) else list(content or ())
    plain = [_block(block, role, ids) for block in blocks]
    if all(isinstance(block, str) for block in plain):
        return plain[0] if len(plain) == 1 else plain
    return plain


def _block(block: Any, role: str, ids: dict[str, str]) -> Any:
    if isinstance(block, str):
        return block
    if block.get("type") == "not_implemented":
        raise UncacheableError("a message holds an object that has no stable form")
    if block.get("type") == "text" and (role == "ai" or set(block) <= _TEXT_KEYS):
        return block.get("text", "")
    kept = {key: value for key, value in block.items() if role != "ai" or key not in _BLOCK_NOISE}
    for key in ("id", "call_id", "tool_use_id"):
        if key in block and (role == "ai" or key != "id"):
            kept[key] = _number(block[key], ids)
    return kept


def split(
    parsed: list[Message] | str,
    hook: QuestionHook | Shape | None = None,
    conversation: str = "exact",
) -> Request:
    """Find the question; everything else must match exactly."""
    if isinstance(hook, Shape):
        return _shaped(split(parsed), hook)
    if isinstance(parsed, str):
        kind: Kind = "react" if _REACT.search(parsed) else "question"
        return Request(_of_text(parsed, hook, own_question(parsed)), parsed, kind, parsed)
    last = _last_human(parsed)
    if last is None:
        return Request(Question(None, parsed, "no human message"), parsed)
    tail = parsed[last + 1 :]
    after_tools = any(message["role"] in {"tool", "function"} for message in tail)
    if tail and not after_tools:
        text = _text_and_others(parsed[last]["content"])[0]
        why = "the last message is not the human's"
        return Request(Question(None, parsed, why), parsed, text=text)
    return _of_human(parsed, last, "after tools" if after_tools else None, hook, conversation)


def _last_human(messages: list[Message]) -> int | None:
    places = [n for n, message in enumerate(messages) if message["role"] == "human"]
    return places[-1] if places else None


def _of_text(text: str, hook: QuestionHook | None, default: str | None) -> Question:
    """The question in a text: what the hook names, else the text itself if it can be one."""
    found = hook(text) if hook is not None else default
    if isinstance(found, Question):
        return found
    if found is None:
        return Question(None, text, "the prompt holds more than a question; see question=")
    if found == text.strip():
        return Question(found, None)
    return Question(found, _around(text, found), "")


def _around(text: str, question: str) -> list[str]:
    """The text without the question: exact, and still saying where the question stood."""
    before, found, after = text.rpartition(question)
    return [before, after] if found else [text]


def _of_human(
    messages: list[Message],
    last: int,
    kind: Kind | None,
    hook: QuestionHook | None,
    conversation: str,
) -> Request:
    human = messages[last]
    text, others = _text_and_others(human["content"])
    kind = kind or ("react" if _REACT.search(text) else "question")
    question = _of_text(text, hook, _one_paragraph(text))
    if question.text is None:
        return Request(question, messages, kind, text)
    rest = {**human, "content": [question.exact, *others]}
    before: list[Message] = messages[:last]
    spoken: tuple[str, ...] = ()
    if conversation == "sequence":
        before, spoken = _spoken(before)
    exact = [*before, rest, *messages[last + 1 :]]
    return Request(replace(question, exact=exact), messages, kind, text, spoken)


def _one_paragraph(text: str) -> str | None:
    """A message with line breaks is likely a template with its context filled in."""
    text = text.strip()
    return text if text and "\n" not in text else None


def _text_and_others(content: Any) -> tuple[str, list[Any]]:
    """The text of a message, and its images and files, which must match exactly."""
    blocks = [content] if isinstance(content, str) else list(content)
    texts = [block for block in blocks if isinstance(block, str)]
    marked = ["(text)" if isinstance(block, str) else block for block in blocks]
    others = marked if len(texts) != len(blocks) else []
    return "\n".join(texts), others


def _spoken(messages: list[Message]) -> tuple[list[Message], tuple[str, ...]]:
    """Earlier turns apart: what is compared exactly, and the texts compared by meaning."""
    exact, spoken = [], []
    for message in messages:
        text, others = _text_and_others(message["content"])
        if message["role"] in {"human", "ai"} and text and set(message) == {"role", "content"}:
            spoken.append(text)
            exact.append({"role": message["role"], "content": others})
        else:
            exact.append(message)
    return exact, tuple(spoken)


def _shaped(plain: Request, shape: Shape) -> Request:
    """The request as a reader takes it apart."""
    parsed = plain.whole
    said = [Said("user", parsed)] if isinstance(parsed, str) else [_said(one) for one in parsed]
    draft = shape.read(said)
    question = Question(draft.question, draft.exact, draft.why)
    return replace(plain, question=question, shaped=True)


def _said(message: Message) -> Said:
    role = str(_SPOKEN.get(message["role"], message["role"]))
    text, others = _text_and_others(message["content"])
    texts = 1 if isinstance(message["content"], str) else len(message["content"])
    more = {key: value for key, value in message.items() if key not in ("role", "content")}
    return Said(role, text, [others, texts, more] if others or more or texts != 1 else None)
