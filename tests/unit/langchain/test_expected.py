"""Answers that the caller cannot use are not stored, so that a retry recovers."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration
from langchain_models import CountingLLM, Streaming
from langgraph.errors import GraphRecursionError
from pydantic import BaseModel, field_validator

from langchain_semcache import SemanticCacheMiddleware, Turns, cached, rejecting
from langchain_semcache.expected import Expected, expected


class Out(BaseModel):
    """What is to be extracted."""

    a: int


@dataclass
class Point:
    """A class that is no Pydantic model."""

    a: int


BAD, GOOD = {"a": "no"}, {"a": 2}
TOOL = {"type": "function", "function": {"name": "Out", "parameters": Out.model_json_schema()}}


def calling(args, name="Out", **more):
    call = {"name": name, "args": args, "id": "c1"}
    return AIMessage("", tool_calls=[call], **more)


def failing_first(make, first, then):
    """The first answer cannot be used, the others can."""
    return Streaming(reply=lambda number, messages: make(first if number == 1 else then))


@pytest.fixture(params=["twin", "global"])
def through(request, cache):
    """A model behind the cache, in both ways."""
    if request.param == "twin":
        yield lambda model: cached(model, cache)
        return
    set_llm_cache(cache)
    yield lambda model: model
    set_llm_cache(None)


def retried(runnable):
    return runnable.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)


def test_a_retry_of_structured_output_recovers_and_is_then_served(through):
    """One call fails, one is right, and the third run is a hit."""
    model = failing_first(calling, BAD, GOOD)
    chain = retried(through(model).with_structured_output(Out))
    assert [chain.invoke("extract it").a for _ in range(3)] == [2, 2, 2]
    assert model.calls == 2


async def test_so_it_does_on_the_event_loop(through):
    """The asynchronous leaves store by the same rule."""
    model = failing_first(calling, BAD, GOOD)
    chain = retried(through(model).with_structured_output(Out))
    assert [(await chain.ainvoke("extract it")).a for _ in range(3)] == [2, 2, 2]
    assert model.calls == 2


def test_the_raw_answer_with_its_error_is_not_served_again(through):
    """`include_raw` raises nothing, and still the answer was of no use."""
    model = failing_first(calling, BAD, GOOD)
    chain = through(model).with_structured_output(Out, include_raw=True)
    found = [chain.invoke("extract it") for _ in range(3)]
    assert [one["parsed"] and one["parsed"].a for one in found] == [None, 2, 2]
    assert model.calls == 2


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "json_schema", "json_schema": {"name": "Out", "schema": Out.model_json_schema()}},
        {"type": "json_schema", "schema": Out.model_json_schema()},
        Out.model_json_schema(),
        Out,
    ],
)
def test_text_is_held_against_the_response_format(through, wanted):
    """By its schema, wherever the provider wants it, and by a class."""
    model = failing_first(lambda value: AIMessage(json.dumps(value)), BAD, GOOD)
    bound = through(model).bind(response_format=wanted)
    assert [bound.invoke("extract it").text for _ in range(3)] == ['{"a": "no"}'] + ['{"a": 2}'] * 2
    assert model.calls == 2


def test_json_mode_wants_json(through):
    """Text that is none is not stored."""
    model = failing_first(AIMessage, "I would say two.", '```json\n{"a": 2}\n```')
    bound = through(model).bind(response_format={"type": "json_object"})
    assert [bound.invoke("extract it").text[0] for _ in range(3)] == ["I", "`", "`"]
    assert model.calls == 2


def test_streams_are_held_against_it_too(cache):
    """The joined chunks are what is stored."""
    model = failing_first(lambda value: AIMessage(json.dumps(value)), BAD, GOOD)
    bound = cached(model, cache).bind(response_format=Out)
    said = ["".join(chunk.text for chunk in bound.stream("extract it")) for _ in range(3)]
    assert said == ['{"a": "no"}', '{"a": 2}', '{"a": 2}']
    assert model.calls == 2


@pytest.mark.parametrize("turns", [Turns(), Turns(tool_calls="exact")])
def test_an_agent_that_failed_for_good_recovers_in_the_next_run(cache, turns):
    """A loop of failures is not replayed out of the cache."""
    sick = [True]
    model = Streaming(reply=lambda number, messages: calling(BAD if sick[0] else GOOD))
    middleware = SemanticCacheMiddleware(cache, turns=turns)
    agent = create_agent(model, [], response_format=ToolStrategy(Out), middleware=[middleware])
    question, config = {"messages": [("human", "extract it")]}, {"recursion_limit": 8}
    with pytest.raises(GraphRecursionError):
        agent.invoke(question, config)
    sick[0], failed = False, model.calls
    assert failed > 2
    assert [agent.invoke(question, config)["structured_response"].a for _ in range(2)] == [2, 2]
    assert model.calls == failed + 1


def test_an_answer_after_a_failed_tool_is_neither_stored_nor_served(through):
    """In the same turn; a failure in an earlier turn is history."""
    model = Streaming()
    failed = ToolMessage("no connection", tool_call_id="c1", status="error")
    turn = [("human", "what is it"), calling(GOOD), failed]
    asked = through(model)
    asked.invoke(turn)
    asked.invoke(turn)
    assert model.calls == 2
    later = [*turn, ("ai", "I could not tell."), ("human", "thank you")]
    asked.invoke(later)
    asked.invoke(later)
    assert model.calls == 3


def test_a_call_that_cannot_be_read_is_never_stored(cache):
    """Not even where tool calls are."""
    broken = {
        "name": "Out",
        "args": '{"a": ',
        "id": "c1",
        "error": "cut",
        "type": "invalid_tool_call",
    }
    model = Streaming(reply=lambda *_: AIMessage("", invalid_tool_calls=[broken]))
    twin = cached(model, cache, turns=Turns(tool_calls="exact"))
    twin.invoke("what is it")
    twin.invoke("what is it")
    assert model.calls == 2


def faults(wanted: Expected, message: AIMessage) -> str:
    return wanted.fault([ChatGeneration(message=message)])


@pytest.mark.parametrize(
    "tool",
    [
        TOOL,
        TOOL["function"],
        {"name": "Out", "input_schema": Out.model_json_schema()},
    ],
)
def test_the_shapes_of_tools(tool):
    """OpenAI's, its older one, Anthropic's; an unknown tool has nothing to be held against."""
    wanted = expected({"tools": [tool, {"type": "web_search"}, "none"]})
    assert faults(wanted, calling(BAD)) and faults(wanted, calling({}))
    assert not faults(wanted, calling(GOOD)) and not faults(wanted, calling(BAD, "Other"))


@pytest.mark.parametrize(
    "given",
    [
        {"format": "json"},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"response_schema": {"type": "object"}},
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
        {"response_format": Point},
    ],
)
def test_the_shapes_of_formats(given):
    """Google's, Anthropic's, Ollama's."""
    wanted = expected(given)
    assert faults(wanted, AIMessage("no JSON"))
    assert not faults(wanted, AIMessage('{"a": 2}'))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"response_format": 5},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_schema", "json_schema": 5}},
        {"tools": 5},
        {"response_format": {"type": "json_schema", "schema": {"type": 5}}},
        {"response_format": {"properties": {"a": {"$ref": "https://example.org/schema"}}}},
    ],
)
def test_what_cannot_be_checked_is_stored(given):
    """A format that nobody knows, a schema that is none, one that lies elsewhere."""
    assert not faults(expected(given), AIMessage('{"a": 2}'))


class Even(BaseModel):
    """A rule that no JSON Schema says."""

    a: int

    @field_validator("a")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value


ODD = {"a": 1}


@pytest.mark.parametrize("raw", [True, False])
async def test_a_twins_parser_reports_what_only_it_can_know(cache, raw):
    """A validator's rule; the answer was stored, and the parser sends it back."""
    model = failing_first(lambda args: calling(args, "Even"), ODD, GOOD)
    chain = retried(cached(model, cache).with_structured_output(Even, include_raw=raw))
    found = [
        chain.invoke("extract it"),
        await chain.ainvoke("extract it"),
        *chain.stream("extract it"),
    ]
    assert model.calls == 2
    assert (found[1]["parsed"] if raw else found[1]).a == 2


def test_a_wrapped_whole_reports_the_answer_inside(through, cache):
    """`rejecting` around structured output: what goes in is a question."""
    model = failing_first(lambda args: calling(args, "Even"), ODD, GOOD)
    chain = retried(rejecting(through(model).with_structured_output(Even), cache))
    assert [chain.invoke("extract it").a for _ in range(2)] == [2, 2]
    assert model.calls == 2


async def test_a_parser_after_another_reports_the_chains_answer(through, cache):
    """What goes in is a text, which says nothing of the answer that it was taken from."""
    model = failing_first(AIMessage, "no JSON", '{"a": 2}')
    chain = retried(through(model) | StrOutputParser() | rejecting(json.loads, cache))
    assert [chain.invoke("extract it"), await chain.ainvoke("extract it")] == [GOOD, GOOD]
    assert chain.batch(["extract it"] * 2) == [GOOD, GOOD]
    assert model.calls == 2


def test_an_llms_text_is_traced_too(cache):
    """It is a text from the beginning."""
    twin = cached(CountingLLM(), cache)
    chain = twin | rejecting(json.loads, cache)
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        chain.invoke("extract it")
    assert cache.stats().entries == 0


def test_a_parser_outside_the_chain_says_what_it_needs(cache, caplog):
    """Nothing is guessed."""
    text = cached(Streaming(), cache).invoke("extract it").text
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        rejecting(json.loads, cache).invoke(text)
    assert "one chain with the model" in caplog.text
    assert cache.stats().entries == 1
