"""The same question amid other things: with a threshold that lets all pass, nothing is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.tools import FunctionTool
from llamaindex_models import Provider

from llamaindex_semcache import SemanticCache, Turns, cached
from semcache_core.embedders.testing import HashEmbedder

ASKED = "How do I cancel my order?"
PNG = b"\x89PNG\r\n\x1a\n"


def user(text: str = ASKED, **extras: Any) -> ChatMessage:
    return ChatMessage(role="user", content=text, additional_kwargs=extras)


def said(role: str, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=text)


def shown(*images: Any, first: bool = True) -> ChatMessage:
    """A question about images, which stand before or after it."""
    text = TextBlock(text=ASKED)
    blocks = [*images, text] if first else [text, *images]
    return ChatMessage(role="user", blocks=blocks)


def image(tail: bytes) -> ImageBlock:
    return ImageBlock(image=PNG + tail, image_mimetype="image/png")


def linked(**more: Any) -> ImageBlock:
    return ImageBlock(url="http://images/1.png", image_mimetype="image/png", **more)


def after(number: int, result: str) -> list[ChatMessage]:
    """A tool was called with a number and gave a result."""
    call = ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs={"a": number})
    answer = ChatMessage(role="tool", content=result, additional_kwargs={"tool_call_id": "1"})
    return [user(), ChatMessage(role="assistant", blocks=[call]), answer]


def of_int(a: int) -> int:
    """Does something."""
    return a


def of_str(a: str) -> str:
    """Does something."""
    return a


INT, STR = (FunctionTool.from_defaults(f, name="f") for f in (of_int, of_str))
TALK = [user("Hi."), said("assistant", "Hello.")]


def chat(*messages: ChatMessage, **kwargs: Any) -> Callable[[Any], Any]:
    return lambda llm: llm.chat(list(messages), **kwargs)


CASES: dict[str, Callable[[Any], Any]] = {
    "plain": chat(user()),
    "a system prompt": chat(said("system", "Be brief."), user()),
    "another": chat(said("system", "Be long."), user()),
    "a developer's": chat(said("developer", "Be brief."), user()),
    "earlier turns": chat(*TALK, user()),
    "others": chat(user("Hi."), said("assistant", "Good day."), user()),
    "more": chat(*TALK, *TALK, user()),
    "two messages": chat(user("Context one."), user()),
    "two others": chat(user("Context two."), user()),
    "a name": chat(user(name="bob")),
    "max_tokens": chat(user(), max_tokens=5),
    "top_p": chat(user(), top_p=0.5),
    "temperature": chat(user(), temperature=0.9),
    "stop": chat(user(), stop=["x"]),
    "a header": chat(user(), extra_headers={"X-Tenant": "ann"}),
    "completion": lambda llm: llm.complete(ASKED),
    "tools": lambda llm: llm.chat_with_tools([INT], user_msg=ASKED),
    "other tools": lambda llm: llm.chat_with_tools([STR], user_msg=ASKED),
    "a tool required": lambda llm: llm.chat_with_tools([INT], user_msg=ASKED, tool_required=True),
    "an answer begun": chat(user(), said("assistant", "Sure:")),
    "a result": chat(*after(1, "4")),
    "another result": chat(*after(1, "5")),
    "a result of another call": chat(*after(2, "5")),
    "an image": chat(shown(image(b"1"))),
    "another image": chat(shown(image(b"2"))),
    "the image behind": chat(shown(image(b"1"), first=False)),
    "two images": chat(shown(image(b"1"), image(b"2"))),
    "a linked image": chat(shown(linked())),
    "in detail": chat(shown(linked(detail="high"))),
}
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another model": {"model": "gpt-4o-mini"},
    "temperature": {"temperature": 0.7},
    "max_tokens": {"max_tokens": 7},
    "seed": {"additional_kwargs": {"seed": 1}},
    "system prompt": {"system_prompt": "Be brief."},
    "another address": {"api_base": "http://other/v1"},
    "reasoning effort": {"reasoning_effort": "low"},
    "strict": {"strict": True},
    "header": {"default_headers": {"X-Tenant": "ann"}},
}


@pytest.fixture
def lax() -> Any:
    """A cache that takes almost anything for similar."""
    with SemanticCache(embed_model=HashEmbedder(), threshold=0.01) as cache:
        yield cache


@pytest.mark.parametrize("after_tools", ["exact", "semantic"])
def test_calls_do_not_share(after_tools: Any, lax: Any, provider: Provider) -> None:
    """Each of them is asked once, whatever was asked before, and found again."""
    llm = cached(provider.openai(), lax, turns=Turns(after_tools=after_tools))
    for number, (name, ask) in enumerate(CASES.items(), 1):
        ask(llm)
        assert provider.calls == number, name
    for name, ask in CASES.items():
        ask(llm)
        assert provider.calls == len(CASES), name
    assert lax.stats().errors == {}


def test_models_do_not_share(lax: Any, provider: Provider) -> None:
    """What a model is made with counts; a key and a limit of time do not."""
    for number, (name, how) in enumerate(MODELS.items(), 1):
        cached(provider.openai(**how), lax).chat([user()])
        assert provider.calls == number, name
    for how in ({"api_key": "sk-other"}, {"timeout": 1.0}, {"max_retries": 5}):
        cached(provider.openai(**how), lax).chat([user()])
    assert provider.calls == len(MODELS)
