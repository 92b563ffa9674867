"""`create_agent` with a real tool loop, in sync and async."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_models import AsyncStreaming, Counting, agent_reply
from pydantic import BaseModel

from langchain_semcache import SemanticCacheMiddleware, Turns, cached
from semcache_core.errors import ConfigError

ASKED = "What is the weather in Paris?"


class World:
    """What the tool sees, and how often it was used."""

    def __init__(self):
        self.weather = "sunny"
        self.uses = 0


@pytest.fixture
def world():
    return World()


@pytest.fixture
def tools(world):
    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        world.uses += 1
        return world.weather

    return [weather]


@pytest.fixture(params=["middleware", "twin"])
def agent_of(request, cache, tools):
    """An agent by either way of caching it."""

    def make(model, turns=None, tools=tools, prompt="Be brief."):
        if request.param == "twin":
            return create_agent(cached(model, cache, turns=turns), tools, system_prompt=prompt)
        middleware = [SemanticCacheMiddleware(cache, turns=turns)]
        return create_agent(model, tools, system_prompt=prompt, middleware=middleware)

    return make


async def run(agent, question=ASKED, sync=True):
    state = {"messages": [HumanMessage(question)]}
    result = agent.invoke(state) if sync else await agent.ainvoke(state)
    return result["messages"]


@pytest.mark.parametrize("sync", [True, False])
async def test_the_last_turn_hits_and_the_tool_turn_asks(sync, agent_of, world):
    """By default the calls are proposed anew, and the answer made of their results is stored."""
    model = AsyncStreaming(reply=agent_reply)
    agent = agent_of(model)
    assert (await run(agent, sync=sync))[-1].content == "It is sunny."
    assert model.calls == 2
    messages = await run(agent, sync=sync)
    assert model.calls == 3
    assert world.uses == 2
    assert messages[-1].response_metadata["semcache"]["hit"] == "exact"
    assert len({message.id for message in messages}) == len(messages)


@pytest.mark.parametrize("sync", [True, False])
async def test_exact_tool_calls_ask_no_model_and_still_run_tools(sync, agent_of, world):
    """A second identical run costs nothing but the tools."""
    model = AsyncStreaming(reply=agent_reply)
    agent = agent_of(model, Turns(tool_calls="exact"))
    first = await run(agent, sync=sync)
    second = await run(agent, sync=sync)
    assert model.calls == 2
    assert world.uses == 2
    assert second[-1].content == first[-1].content
    assert second[1].tool_calls[0]["id"] != first[1].tool_calls[0]["id"]
    assert second[2].tool_call_id == second[1].tool_calls[0]["id"]


async def test_a_changed_tool_result_misses(agent_of, world):
    """The answer is made of the new result."""
    model = AsyncStreaming(reply=agent_reply)
    agent = agent_of(model, Turns(tool_calls="exact"))
    await run(agent)
    world.weather = "rainy"
    assert (await run(agent))[-1].content == "It is rainy."
    assert model.calls == 3


@pytest.mark.parametrize(("mode", "calls"), [("exact", 4), ("semantic", 3), ("off", 4)])
async def test_a_rephrased_question_hits_only_where_it_may(mode, calls, agent_of):
    """After tools: only if that turn is set to semantic; calls are always for the exact words."""
    model = AsyncStreaming(reply=agent_reply)
    agent = agent_of(model, Turns(tool_calls="exact", after_tools=mode))
    await run(agent)
    await run(agent, "What is the weather in Paris")
    assert model.calls == calls


async def test_answers_without_tools_are_found_by_meaning(agent_of):
    """Tools are offered and not used; other tools or another system prompt miss."""
    model = AsyncStreaming()
    await run(agent_of(model), "What is your refund policy?")
    await run(agent_of(model), "what is your refund policy")
    assert model.calls == 1
    await run(agent_of(model, prompt="Be long."), "What is your refund policy?")
    await run(agent_of(model, tools=[]), "What is your refund policy?")
    assert model.calls == 3


async def test_a_conversation_keeps_its_turns(agent_of):
    """Ask, thank, ask again: three answers with three ids, none of them replaced."""
    from langgraph.checkpoint.memory import InMemorySaver

    agent = agent_of(AsyncStreaming(), tools=[])
    agent.checkpointer = InMemorySaver()
    config = {"configurable": {"thread_id": "1"}}
    for text in ("What is your refund policy?", "thanks", "What is your refund policy?"):
        state = await agent.ainvoke({"messages": [HumanMessage(text)]}, config)
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai"] * 3
    assert len({message.id for message in state["messages"]}) == 6


class City(BaseModel):
    """A city."""

    name: str


def city(number, messages):
    return AIMessage("", tool_calls=[{"name": "City", "args": {"name": "Paris"}, "id": "c"}])


async def test_structured_responses_are_made_again(cache):
    """The stored call is parsed as a fresh one is."""
    from langchain.agents.structured_output import ToolStrategy

    model = Counting(reply=city)
    middleware = [SemanticCacheMiddleware(cache, turns=Turns(tool_calls="exact"))]
    agent = create_agent(model, [], response_format=ToolStrategy(City), middleware=middleware)
    for _ in range(2):
        result = await agent.ainvoke({"messages": [HumanMessage("Where is the Louvre?")]})
        assert result["structured_response"] == City(name="Paris")
    assert model.calls == 1


def test_a_hit_can_be_shown(cache):
    """A custom stream of the graph carries the mark."""
    model = AsyncStreaming()
    agent = create_agent(model, [], middleware=[SemanticCacheMiddleware(cache)])
    state = {"messages": [HumanMessage("What is your refund policy?")]}
    assert list(agent.stream(state, stream_mode="custom")) == []
    (event,) = agent.stream(state, stream_mode="custom")
    assert event["semcache"]["hit"] == "exact"


def test_the_middleware_takes_settings(cache):
    """As `cached` does, and refuses what `cached` refuses."""
    with pytest.raises(ConfigError, match="colour"):
        SemanticCacheMiddleware(cache, colour="red")
    with pytest.raises(ConfigError, match="SemanticCache"):
        SemanticCacheMiddleware("cache")


def test_a_model_of_another_kind_is_asked_as_ever(cache, caplog):
    """It is said, and nothing breaks."""
    from langchain.agents.middleware import ModelRequest, ModelResponse

    request = ModelRequest(model=RunnableLambda(lambda x: x), messages=[])
    response = ModelResponse(result=[AIMessage("fresh")])
    middleware = SemanticCacheMiddleware(cache)
    assert middleware.wrap_model_call(request, lambda given: response) is response
    assert "not cached" in caplog.text
