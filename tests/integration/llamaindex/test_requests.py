"""On a miss the wire carries, byte for byte, what the provider's bare class sends."""

from __future__ import annotations

import copy
import inspect
import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.tools import FunctionTool
from llamaindex_models import Provider
from pydantic import BaseModel

from llamaindex_semcache import Turns, cached

PIXEL = b"\x89PNG\r\n\x1a\n" + b"\0" * 24


class City(BaseModel):
    """A city and where it is."""

    name: str
    country: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TOOL = FunctionTool.from_defaults(add)
PLAIN = [ChatMessage("How do I cancel my order?")]
TALK = [
    ChatMessage(role=MessageRole.SYSTEM, content="Be brief."),
    ChatMessage("My name is Ann."),
    ChatMessage(role=MessageRole.ASSISTANT, content="Hello Ann."),
    ChatMessage("What is my name?"),
]
IMAGE = [
    ChatMessage(
        blocks=[ImageBlock(image=PIXEL, image_mimetype="image/png"), TextBlock(text="What is it?")]
    )
]
TEMPLATE = PromptTemplate("Where is the city of {query_str}?")
CHAT_TEMPLATE = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{query_str}")])
CHATTING = ["chat", "achat", "stream_chat", "astream_chat"]
COMPLETING = ["complete", "acomplete", "stream_complete", "astream_complete"]
PREDICTING = ["predict", "apredict", "stream", "astream"]
STRUCTURED = [f"{way}structured_predict" for way in ("", "a", "stream_", "astream_")]
TOOLING = [f"{way}_with_tools" for way in CHATTING]

CALLS: dict[str, tuple[list[str], tuple[Any, ...], dict[str, Any]]] = {
    "plain": (CHATTING, (PLAIN,), {}),
    "conversation": (CHATTING, (TALK,), {"max_tokens": 99}),
    "image": (CHATTING, (IMAGE,), {}),
    "completion": (COMPLETING, ("Name a river.",), {"max_tokens": 99}),
    "template": (PREDICTING, (TEMPLATE,), {"query_str": "Porto"}),
    "chat template": (PREDICTING, (CHAT_TEMPLATE,), {"query_str": "Porto"}),
    "structured": (STRUCTURED, (City, TEMPLATE), {"query_str": "Porto"}),
    "tools": (TOOLING, ([TOOL],), {"user_msg": "Add 1 and 2."}),
    "tool required": (TOOLING, ([TOOL],), {"user_msg": "Add.", "tool_required": True}),
    "tools in a talk": (TOOLING, ([TOOL],), {"chat_history": TALK, "user_msg": "Add 1 and 2."}),
}
EACH = [(kind, way) for kind, (ways, *_) in CALLS.items() for way in ways]


def script(body: dict[str, Any]) -> Any:
    """A call of the first tool, an object, or a text."""
    if tools := body.get("tools"):
        name = tools[0].get("name") or tools[0]["function"]["name"]
        values = {"a": 1, "b": 2} if name == "add" else {"name": "Porto", "country": "Portugal"}
        return [(name, values)]
    if "response_format" in body or "City" in json.dumps(body):
        return '{"name": "Porto", "country": "Portugal"}'
    return "It is in Portugal."


async def consumed(found: Any) -> list[Any]:
    """A call's outcome as a list: what it returned, or what it streamed."""
    if inspect.isawaitable(found):
        found = await found
    if hasattr(found, "__aiter__"):
        return [item async for item in found]
    return list(found) if inspect.isgenerator(found) or hasattr(found, "__next__") else [found]


def shown(item: Any) -> str:
    """What a caller reads of one item."""
    message = getattr(item, "message", None)
    text = message.content if message is not None else str(item)
    calls = [b.model_dump_json() for b in getattr(message, "blocks", ()) if "tool" in str(b)]
    return f"{text} {calls}"


def whole(items: list[Any]) -> str:
    """Tokens joined; of anything else the last, which holds all."""
    return "".join(items) if isinstance(items[0], str) else shown(items[-1])


def kind_of(item: Any) -> str:
    """By name: LlamaIndex makes a class for each unfinished object."""
    return f"{type(item).__module__}.{type(item).__qualname__}"


@pytest.mark.parametrize(("kind", "way"), EACH)
@pytest.mark.parametrize("name", ["openai json", "openai tools", "anthropic"])
async def test_the_same_bytes(name: str, kind: str, way: str, cache: Any) -> None:
    """Each way to ask each class: requests, outcomes and types are the bare one's; then none."""

    def make(provider: Provider) -> Any:
        if name == "anthropic":
            return provider.anthropic(system_prompt="You know cities.")
        return provider.openai(model="gpt-4o" if name == "openai json" else "gpt-3.5-turbo")

    bare, behind = Provider(script), Provider(script)
    twin = cached(make(behind), cache, turns=Turns(tool_calls="exact"))

    async def ask(llm: Any) -> list[Any]:
        _, args, kwargs = copy.deepcopy(CALLS[kind])  # LlamaIndex adds to a given history
        return await consumed(getattr(llm, way)(*args, **kwargs))

    expected, cold = await ask(make(bare)), await ask(twin)
    assert behind.requests == bare.requests
    assert list(map(shown, cold)) == list(map(shown, expected))
    assert list(map(kind_of, cold)) == list(map(kind_of, expected))
    warm = await ask(twin)
    assert whole(warm) == whole(expected)
    assert kind_of(warm[-1]) == kind_of(expected[-1])
    assert behind.calls == bare.calls
    assert cache.stats().errors == {}
