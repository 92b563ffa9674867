"""The same question amid other things: with a threshold that lets all pass, nothing is shared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from langchain_models import AsyncStreaming
from pydantic import BaseModel

from langchain_semcache import SemanticCache, Turns, cached
from semcache_core.embedders.testing import HashEmbedder

ASKED = "what is your refund policy"


@tool("f")
def of_int(a: int) -> int:
    """Does something."""
    return a


@tool("f")
def of_str(a: str) -> str:
    """Does something."""
    return a


class Answer(BaseModel):
    """An answer."""

    days: int


def other_answer() -> type[BaseModel]:
    """A class of the same name, with another schema."""

    class Answer(BaseModel):
        """An answer."""

        weeks: int

    return Answer


OTHER = other_answer()


def human(text: str = ASKED, **more: Any) -> HumanMessage:
    return HumanMessage(text, **more)


def shown(url: str, first: bool = False) -> HumanMessage:
    """A question about an image, which stands before or after it."""
    blocks: list[Any] = [{"type": "text", "text": ASKED}]
    blocks.insert(0 if first else 1, {"type": "image_url", "image_url": {"url": url}})
    return HumanMessage(blocks)


def after(number: int, result: str, **more: Any) -> list[Any]:
    """A tool was called with a number and gave a result."""
    call = {"name": "f", "args": {"a": number}, "id": "1"}
    return [AIMessage("", tool_calls=[call]), ToolMessage(result, tool_call_id="1", **more)]


def sent(*messages: Any, **kwargs: Any) -> Callable[[Any], Any]:
    return lambda model: model.invoke(list(messages), **kwargs)


IMAGE, OTHER_IMAGE = "data:image/png;base64,AAAA", "data:image/png;base64,BBBB"
THOUGHT = [{"type": "reasoning", "reasoning": "r"}, {"type": "text", "text": "hello"}]
CASES: dict[str, Callable[[Any], Any]] = {
    "plain": sent(human()),
    "a system prompt": sent(SystemMessage("be brief"), human()),
    "another": sent(SystemMessage("be long"), human()),
    "a system prompt behind": sent(human(), SystemMessage("be brief")),
    "earlier turns": sent(human("hi"), AIMessage("hello"), human()),
    "others": sent(human("hi"), AIMessage("good day"), human()),
    "reasoned turns": sent(human("hi"), AIMessage(THOUGHT), human()),
    "two messages": sent(human("context one"), human()),
    "two others": sent(human("context two"), human()),
    "a name": sent(human(name="bob")),
    "another name": sent(human(name="ann")),
    "a role": sent(ChatMessage(ASKED, role="critic")),
    "another role": sent(ChatMessage(ASKED, role="judge")),
    "extras": sent(human(additional_kwargs={"language": "fr"})),
    "stop": sent(human(), stop=["."]),
    "top_p": sent(human(), top_p=0.1),
    "tools": lambda model: model.bind_tools([of_int]).invoke([human()]),
    "other tools": lambda model: model.bind_tools([of_str]).invoke([human()]),
    "a tool required": lambda model: model.bind_tools([of_int], tool_choice="f").invoke([human()]),
    "a result": sent(human(), *after(1, "4")),
    "another result": sent(human(), *after(1, "5")),
    "a result of another call": sent(human(), *after(2, "5")),
    "a failure": sent(human(), *after(2, "5", status="error")),
    "an earlier result": sent(human("hi"), *after(1, "4"), AIMessage("ok"), human()),
    "another earlier result": sent(human("hi"), *after(1, "9"), AIMessage("ok"), human()),
    "an answer begun": sent(human(), AIMessage("Sure:")),
    "an image": sent(shown(IMAGE)),
    "another image": sent(shown(OTHER_IMAGE)),
    "the image in front": sent(shown(IMAGE, first=True)),
    "a format": sent(human(), response_format=Answer),
    "a format of that name": sent(human(), response_format=OTHER),
    "JSON": sent(human(), response_format={"type": "json_object"}),
}


@pytest.mark.parametrize("after_tools", ["exact", "semantic"])
@pytest.mark.parametrize("seam", ["twin", "global"])
def test_calls_do_not_share(seam, after_tools):
    """Each of them is asked once, whatever was asked before, and found again."""
    fitting = json.dumps({"days": 1, "weeks": 1})
    model = AsyncStreaming(reply=lambda number, messages: AIMessage(fitting))
    turns = Turns(after_tools=after_tools)
    with SemanticCache(embedding=HashEmbedder(), threshold=0.01, turns=turns) as cache:
        set_llm_cache(cache if seam == "global" else None)
        asked = cached(model, cache) if seam == "twin" else model
        try:
            for number, (name, ask) in enumerate(CASES.items(), 1):
                ask(asked)
                assert model.calls == number, name
            for name in CASES.keys() - {"a failure"}:  # which is never served
                CASES[name](asked)
                assert model.calls == len(CASES), name
        finally:
            set_llm_cache(None)
        assert cache.stats().errors == {}
