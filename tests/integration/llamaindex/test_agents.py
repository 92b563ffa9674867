"""LlamaIndex's own agents over a cached LLM, cold then warm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import (
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
)
from llama_index.core.memory import ChatMemoryBuffer
from llamaindex_models import Provider
from pydantic import BaseModel

from llamaindex_semcache import Turns, cached, no_cache
from tests.integration.llamaindex.test_engine_table import rows

# LlamaIndex's agents look at all attributes of themselves when they are made, pydantic's old ones
# too, and its ReAct agent asks its workflow what workflows no longer want to be asked.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]

RAN: list[tuple[int, int]] = []
TASK = "What is six times seven?"


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    RAN.append((a, b))
    return a * b


def functions(body: dict[str, Any]) -> Any:
    """A model that calls functions: hand over if it can, then multiply, then answer."""
    names = {tool["function"]["name"] for tool in body.get("tools") or ()}
    after_tool = body["messages"][-1]["role"] == "tool"
    if "handoff" in names and "multiply" not in names and not after_tool:
        return [("handoff", {"to_agent": "calculator", "reason": "numbers"})]
    if "multiply" in names and not after_tool:
        return [("multiply", {"a": 6, "b": 7})]
    if after_tool and body["messages"][-1]["content"] != "42" and "multiply" in names:
        return [("multiply", {"a": 6, "b": 7})]
    return "It is forty-two."


def react(body: dict[str, Any]) -> str:
    """A model that writes its tool calls as text."""
    if "Observation: 42" in json.dumps(body["messages"]):
        return "Thought: I can answer.\nAnswer: It is forty-two."
    return 'Thought: I need a tool.\nAction: multiply\nAction Input: {"a": 6, "b": 7}'


def code(body: dict[str, Any]) -> str:
    """A model that writes code."""
    if "42" in json.dumps(body["messages"]):
        return "It is forty-two."
    return "<execute>\nprint(multiply(6, 7))\n</execute>"


async def run_code(code: str) -> str:
    """What a user's sandbox would return."""
    return "Output: 42"


def agents(llm: Any) -> dict[str, Any]:
    """A fresh agent of each kind; the cached LLM is told apart by nothing."""
    calculator = {"name": "calculator", "description": "calculates", "llm": llm}
    greeter = FunctionAgent(
        name="greeter",
        description="greets",
        llm=llm,
        tools=[],
        system_prompt="Greet.",
        can_handoff_to=["calculator"],
    )
    return {
        "function": lambda s: FunctionAgent(tools=[multiply], llm=llm, streaming=s),
        "react": lambda s: ReActAgent(tools=[multiply], llm=llm, streaming=s),
        "code": lambda s: CodeActAgent(
            code_execute_fn=run_code, tools=[multiply], llm=llm, streaming=s
        ),
        "workflow": lambda s: AgentWorkflow(
            agents=[
                greeter.model_copy(update={"streaming": s}),
                FunctionAgent(
                    tools=[multiply], system_prompt="Calculate.", streaming=s, **calculator
                ),
            ],
            root_agent="greeter",
        ),
    }


SCRIPTS = {"function": functions, "react": react, "code": code, "workflow": functions}


ROWS = {
    "function": "FunctionAgent",
    "react": "ReActAgent",
    "code": "CodeActAgent",
    "workflow": "AgentWorkflow with a handoff",
}


async def run(agent: Any) -> tuple[str, str, str, list[Any]]:
    """What an agent answers, what it streamed, who answered, and its calls of tools."""
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000)
    handler = agent.run(user_msg=TASK, memory=memory)
    streamed = [e.delta async for e in handler.stream_events() if isinstance(e, AgentStream)]
    output = await handler
    calls = [(c.tool_name, c.tool_kwargs, c.tool_output.content) for c in output.tool_calls]
    return str(output), "".join(streamed), output.current_agent_name, calls


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("kind", list(SCRIPTS))
async def test_warm_agents_ask_nobody(kind: str, streaming: bool, cache: Any) -> None:
    """Tool calls cached: the second run makes no call, runs the tools again, and says the same."""
    provider = Provider(SCRIPTS[kind])
    llm = cached(provider.openai(), cache, turns=Turns(tool_calls="exact"))
    RAN.clear()
    cold = await run(agents(llm)[kind](streaming))
    spent, ran = provider.calls, len(RAN)
    assert "forty-two" in cold[0]
    assert (spent, 0, True) == rows()[ROWS[kind]]
    warm = await run(agents(llm)[kind](streaming))
    assert warm == cold
    assert provider.calls == spent
    assert len(RAN) == 2 * ran, "the framework runs tools, replayed or not"
    other = await run(agents(llm)[kind](not streaming))
    assert (other[0], other[2:]) == (cold[0], cold[2:])
    assert provider.calls == spent


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize(
    ("kind", "anew"), [("function", 1), ("workflow", 2), ("react", 0), ("code", 0)]
)
async def test_by_default_tool_calls_are_asked_for_anew(
    kind: str, anew: int, streaming: bool, cache: Any
) -> None:
    """The model decides each time which function to call; texts are stored."""
    provider = Provider(SCRIPTS[kind])
    llm = cached(provider.openai(), cache)
    cold = await run(agents(llm)[kind](streaming))
    spent = provider.calls
    assert await run(agents(llm)[kind](streaming)) == cold
    assert provider.calls - spent == anew


async def test_agents_that_answer_with_an_object(cache: Any) -> None:
    """`output_cls`: the object is the same, and nobody is asked."""

    class Product(BaseModel):
        """A number."""

        value: int

    def script(body: dict[str, Any]) -> Any:
        return '{"value": 42}' if body.get("response_format") else functions(body)

    provider = Provider(script)
    llm = cached(provider.openai(), cache, turns=Turns(tool_calls="exact"))
    spent = []
    for _ in range(2):
        agent = FunctionAgent(tools=[multiply], llm=llm, output_cls=Product)
        output = await agent.run(user_msg=TASK, memory=ChatMemoryBuffer.from_defaults())
        assert output.get_pydantic_model(Product) == Product(value=42)
        spent.append(provider.calls)
    assert spent == [3, 3]


@pytest.mark.parametrize("kind", ["react", "code"])
async def test_agents_that_write_their_calls_as_text_need_no_opting_in(
    kind: str, cache: Any
) -> None:
    """Their steps are texts, which the very same prompt finds by default; the tools run again."""
    provider = Provider(SCRIPTS[kind])
    llm = cached(provider.openai(), cache)
    RAN.clear()
    cold = await run(agents(llm)[kind](True))
    spent, ran = provider.calls, len(RAN)
    assert await run(agents(llm)[kind](True)) == cold
    assert (spent, provider.calls, len(RAN)) == (2, 2, 2 * ran)


async def test_the_bare_class_sends_the_same(cache: Any) -> None:
    """Every request of an agent's cold run is byte for byte the bare class's."""
    bare, behind = Provider(functions), Provider(functions)
    await run(agents(bare.openai())["function"](True))
    await run(agents(cached(behind.openai(), cache))["function"](True))
    assert behind.requests == bare.requests


async def test_anthropic_agents_too(cache: Any) -> None:
    """FunctionAgent over the real Anthropic class."""

    def script(body: dict[str, Any]) -> Any:
        last = json.dumps(body["messages"][-1])
        return "It is forty-two." if "tool_result" in last else [("multiply", {"a": 6, "b": 7})]

    provider = Provider(script)
    llm = cached(provider.anthropic(), cache, turns=Turns(tool_calls="exact"))
    cold = await run(agents(llm)["function"](True))
    spent = provider.calls
    assert await run(agents(llm)["function"](True)) == cold
    assert (provider.calls, spent) == (2, 2)


async def test_a_switch_around_run_holds_inside(cache: Any) -> None:
    """no_cache() is taken when the agent is started, whenever it is awaited."""
    provider = Provider(functions)
    llm = cached(provider.openai(), cache, turns=Turns(tool_calls="exact"))
    agent = agents(llm)["function"](True)
    await run(agent)
    with no_cache():
        handler = agent.run(user_msg=TASK, memory=ChatMemoryBuffer.from_defaults())
    assert "forty-two" in str(await handler)
    assert provider.calls == 4


async def test_predict_and_call(cache: Any) -> None:
    """FunctionCallingLLM's own loop: the call replayed, the tool run."""
    from llama_index.core.tools import FunctionTool

    provider = Provider(functions)
    llm = cached(provider.openai(), cache, turns=Turns(tool_calls="exact"))
    tool = FunctionTool.from_defaults(multiply)
    said = [llm.predict_and_call([tool], user_msg=TASK).response for _ in range(2)]
    said.append((await llm.apredict_and_call([tool], user_msg=TASK)).response)
    assert (set(said), provider.calls) == ({"42"}, 1)
