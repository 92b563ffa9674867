"""Agents of `create_agent` that do more than call one tool: cold, then warm."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
    dynamic_prompt,
    wrap_model_call,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_models import AsyncStreaming, Counting
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from langchain_semcache import SemanticCacheMiddleware, Turns, cached

ASKED = "What is the weather in Paris and in Rome?"
EXACT = Turns(tool_calls="exact")
WAYS = pytest.mark.parametrize("way", ["middleware", "twin"])
SYNC = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


class World:
    """What the tool says of a city, and what it was asked; a city can be on fire."""

    def __init__(self) -> None:
        self.weather = {"Paris": "sunny", "Rome": "rainy"}
        self.asked: list[str] = []
        self.broken = False

    def tools(self) -> list[Any]:
        @tool
        def weather(city: str) -> str:
            """The weather of a city."""
            self.asked.append(city)
            if self.broken:
                raise ValueError(f"no station in {city}")
            return self.weather[city]

        weather.handle_tool_error = True
        return [weather]


def both(number: int, messages: Any) -> AIMessage:
    """Calls the tool for two cities at once, then says what it was told, in order."""
    told = [m for m in messages if isinstance(m, ToolMessage)]
    if told:
        return AIMessage(" and ".join(str(m.content) for m in told))
    calls = [
        {"name": "weather", "args": {"city": city}, "id": f"model-{number}-{city}"}
        for city in ("Paris", "Rome")
    ]
    return AIMessage("", tool_calls=calls)


def agent(way: str, model: Any, cache: Any, tools: Any, turns: Any = EXACT, **more: Any) -> Any:
    """An agent by either way of caching it; further middleware stands outside the cache's."""
    outer = more.pop("middleware", [])
    if way == "twin":
        model, inner = cached(model, cache, turns=turns), []
    else:
        inner = [SemanticCacheMiddleware(cache, turns=turns)]
    return create_agent(model, tools, middleware=[*outer, *inner], **more)


async def run(made: Any, sync: bool, text: Any = ASKED, **config: Any) -> list[Any]:
    """The messages at the end."""
    state = text if isinstance(text, Command) else {"messages": [HumanMessage(text)]}
    given = {"configurable": config} if config else None
    result = made.invoke(state, given) if sync else await made.ainvoke(state, given)
    return result["messages"]


@WAYS
@SYNC
async def test_parallel_calls(way, sync, cache):
    """Both are replayed with fresh ids that their results answer; a changed result misses."""
    world, model = World(), AsyncStreaming(reply=both)
    made = agent(way, model, cache, world.tools())
    first, second = await run(made, sync), await run(made, sync)
    assert model.calls == 2
    assert sorted(world.asked) == ["Paris", "Paris", "Rome", "Rome"]
    assert second[-1].content == first[-1].content == "sunny and rainy"
    ids = [call["id"] for call in first[1].tool_calls + second[1].tool_calls]
    assert len(set(ids)) == 4
    assert [m.tool_call_id for m in second[2:4]] == ids[2:]
    world.weather["Rome"] = "windy"
    assert (await run(made, sync))[-1].content == "sunny and windy"
    assert model.calls == 3


@WAYS
@SYNC
async def test_tool_errors(way, sync, cache):
    """A failing tool's message is part of what must match: no success is served for it."""
    world, model = World(), AsyncStreaming(reply=both)
    made = agent(way, model, cache, world.tools())
    await run(made, sync)
    world.broken = True
    with pytest.raises(ValueError, match="no station"):
        await run(made, sync)
    assert model.calls == 2
    world.broken = False
    assert (await run(made, sync))[-1].content == "sunny and rainy"
    assert model.calls == 2


class City(BaseModel):
    """A city."""

    name: str


class Town(BaseModel):
    """A town, which has a mayor."""

    name: str
    mayor: str = ""


def structured(number: int, messages: Any) -> AIMessage:
    """Answers with the tool of the response format."""
    return AIMessage("", tool_calls=[{"name": "City", "args": {"name": "Paris"}, "id": "c"}])


def as_json(number: int, messages: Any) -> AIMessage:
    """Answers in JSON, as a provider's own structured output does."""
    return AIMessage('{"name": "Paris"}')


@WAYS
@SYNC
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
async def test_response_formats(strategy, way, sync, cache):
    """By default, too: the object is made of the stored answer, and another schema misses."""
    model = Counting(reply=structured if strategy is ToolStrategy else as_json)
    for _ in range(2):
        made = agent(way, model, cache, [], None, response_format=strategy(City))
        state = {"messages": [HumanMessage("Where is the Louvre?")]}
        result = made.invoke(state) if sync else await made.ainvoke(state)
        assert result["structured_response"] == City(name="Paris")
    assert model.calls == 1
    if strategy is ProviderStrategy:
        other = agent(way, model, cache, [], None, response_format=strategy(Town))
        assert other.invoke(state)["structured_response"] == Town(name="Paris")
        assert model.calls == 2


@WAYS
@SYNC
async def test_dynamic_system_prompts(way, sync, cache):
    """The prompt of the run is part of the key, wherever it is made."""
    who = ["Ann"]

    @dynamic_prompt
    def prompt(request):
        return f"You speak with {who[0]}."

    model = AsyncStreaming()
    made = agent(way, model, cache, [], None, middleware=[prompt])
    await run(made, sync)
    await run(made, sync)
    assert model.calls == 1
    who[0] = "Bob"
    assert "semcache" not in (await run(made, sync))[-1].response_metadata
    assert model.calls == 2


@WAYS
@SYNC
async def test_agents_within_agents(way, sync, cache):
    """A subagent that is a tool shares the cache: warm, neither asks."""
    inner_model, world = AsyncStreaming(reply=both), World()
    inner = agent(way, inner_model, cache, world.tools(), system_prompt="You know the weather.")

    @tool
    def expert(question: str) -> str:
        """Knows the weather."""
        return inner.invoke({"messages": [HumanMessage(question)]})["messages"][-1].content

    def boss(number, messages):
        if isinstance(messages[-1], ToolMessage):
            return AIMessage(f"They say: {messages[-1].content}")
        call = {"name": "expert", "args": {"question": ASKED}, "id": f"b{number}"}
        return AIMessage("", tool_calls=[call])

    outer_model = AsyncStreaming(reply=boss)
    made = agent(way, outer_model, cache, [expert], system_prompt="You ask experts.")
    cold, warm = await run(made, sync), await run(made, sync)
    assert warm[-1].content == cold[-1].content == "They say: sunny and rainy"
    assert (outer_model.calls, inner_model.calls) == (2, 2)


@WAYS
@SYNC
async def test_interrupts_and_resuming(way, sync, cache):
    """A person approves the replayed calls; the run goes on where it stood, once each thread."""
    world, model = World(), AsyncStreaming(reply=both)
    gate = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    made = agent(way, model, cache, world.tools(), middleware=[gate], checkpointer=InMemorySaver())
    for thread in ("1", "2"):
        await run(made, sync, thread_id=thread)
        answer = Command(resume={"decisions": [{"type": "approve"}] * 2})
        messages = await run(made, sync, answer, thread_id=thread)
        assert messages[-1].content == "sunny and rainy"
        assert len({m.id for m in messages}) == len(messages) == 5
    assert model.calls == 2
    assert len(world.asked) == 4


@WAYS
@SYNC
async def test_summaries_of_long_talks(way, sync, cache):
    """Summarised or not, in either order of middleware: what is sent is what counts."""
    model, summariser = AsyncStreaming(), Counting(model="summariser")
    short = SummarizationMiddleware(
        cached(summariser, cache), trigger=("messages", 4), keep=("messages", 2)
    )
    made = [
        agent(way, model, cache, [], None, middleware=[short], checkpointer=InMemorySaver())
        for _ in range(2)
    ]
    talks, spent = [], []
    for one in made:
        for text in ("My name is Ann.", "I live in Porto.", "I like fish.", "What is my name?"):
            messages = await run(one, sync, text, thread_id="1")
        talks.append([m.content for m in messages])
        spent.append((model.calls, summariser.calls))
    assert talks[0] == talks[1]
    assert spent[0] == spent[1]
    assert spent[0][1] > 0


@WAYS
@SYNC
async def test_beside_other_middleware(way, sync, cache):
    """Retries, fallbacks, limits and wrappers, outside and inside, change nothing of a hit."""
    seen = []

    @wrap_model_call
    def noted(request, handler):
        seen.append(type(request.model).__name__)
        return handler(request)

    @wrap_model_call
    async def anoted(request, handler):
        seen.append(type(request.model).__name__)
        return await handler(request)

    world, model = World(), AsyncStreaming(reply=both)
    around = [
        noted if sync else anoted,
        ModelRetryMiddleware(max_retries=1, initial_delay=0.0),
        ModelFallbackMiddleware(Counting(model="spare")),
        ModelCallLimitMiddleware(run_limit=4),
        ToolCallLimitMiddleware(run_limit=4),
    ]
    for middleware in (around, list(reversed(around))):
        made = agent(way, model, cache, world.tools(), middleware=middleware)
        for _ in range(2):
            assert (await run(made, sync))[-1].content == "sunny and rainy"
    assert model.calls == 2
    assert set(seen) == {"AsyncStreaming"}


@WAYS
@pytest.mark.parametrize("mode", ["messages", "updates", "values", "debug"])
async def test_streamed_graphs(mode, way, cache):
    """Every stream mode shows the same warm as cold, ids apart; messages come in chunks."""
    world, model = World(), AsyncStreaming(reply=both)
    made = agent(way, model, cache, world.tools())
    state = {"messages": [HumanMessage(ASKED, id="h")]}

    def shown(events):
        if mode != "messages":
            return [list(event) if isinstance(event, dict) else type(event) for event in events]
        chunks = [chunk for chunk, _ in events if isinstance(chunk, AIMessageChunk)]
        calls = sum((len(chunk.tool_call_chunks) for chunk in chunks), 0)
        return "".join(chunk.text for chunk in chunks), calls, len(chunks) > 3

    cold = shown(list(made.stream(state, stream_mode=mode)))
    assert shown(list(made.stream(state, stream_mode=mode))) == cold
    assert shown([event async for event in made.astream(state, stream_mode=mode)]) == cold
    assert model.calls == 2
    if mode == "messages":
        assert cold == ("sunny and rainy", 2, True)
        names = {info["langgraph_node"] for _, info in made.stream(state, stream_mode=mode)}
        assert names == {"model", "tools"}


@WAYS
async def test_events_of_a_warm_agent(way, cache):
    """`astream_events` tells of the model's start, stream and end for a hit, too."""
    world, model = World(), AsyncStreaming(reply=both)
    made = agent(way, model, cache, world.tools())
    state = {"messages": [HumanMessage(ASKED)]}

    async def kinds():
        events = [e["event"] async for e in made.astream_events(state, version="v2")]
        return {k: events.count(k) for k in ("on_chat_model_start", "on_chat_model_end")}, set(
            events
        )

    assert await kinds() == await kinds()
    assert model.calls == 2


@WAYS
@SYNC
async def test_a_model_that_is_chosen_late(way, sync, cache):
    """A wrapper that exchanges the model inside: the one that answers is the one in the key."""
    small, large = AsyncStreaming(model="small"), AsyncStreaming(model="large")
    current = [small]

    @wrap_model_call
    def choose(request, handler):
        return handler(request.override(model=current[0]))

    @wrap_model_call
    async def achoose(request, handler):
        return await handler(request.override(model=current[0]))

    made = create_agent(
        small, [], middleware=[choose if sync else achoose, SemanticCacheMiddleware(cache)]
    )
    for model in (small, small, large, large):
        current[0] = cached(model, cache) if way == "twin" else model
        await run(made, sync)
    assert (small.calls, large.calls) == (1, 1)
