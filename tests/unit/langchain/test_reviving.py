"""Stored answers become what LangChain's own `loads` makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation

from langchain_semcache import reviving
from langchain_semcache.payload import ALLOWED
from langchain_semcache.reviving import Reviver

CALL = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}
ANSWERS = [
    Generation(text="plain", generation_info={"finish_reason": "stop"}),
    ChatGeneration(message=AIMessage("yes", response_metadata={"model_name": "m", "n": [1, None]})),
    ChatGeneration(message=AIMessage([{"type": "text", "text": "a"}], tool_calls=[CALL])),
    ChatGeneration(message=AIMessage("x", response_metadata={"user": {"lc": 1, "type": "secret"}})),
    ChatGenerationChunk(message=AIMessageChunk("part", chunk_position="last")),
]


def theirs(text: str) -> Any:
    """What LangChain makes of it."""
    with suppress_langchain_beta_warning():
        return loads(text, allowed_objects=ALLOWED)


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_as_langchain_revives_them(answer: Generation) -> None:
    """Text, calls, metadata and mappings that look like LangChain's own come back the same."""
    text = dumps(answer)
    made = Reviver(ALLOWED)(text)
    assert made == theirs(text) == answer
    assert type(made) is type(answer)


def test_the_usual_answer_needs_no_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all hits go through is made from the table of classes."""
    monkeypatch.setattr(reviving, "loads", None)
    assert Reviver(ALLOWED)(dumps(ANSWERS[1])) == ANSWERS[1]


@pytest.mark.parametrize(
    "text",
    [
        dumps(HumanMessage("another class")),
        json.dumps({"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}}),
        json.dumps({"lc": 2, "type": "constructor", "id": AIMessage.lc_id(), "kwargs": {}}),
        json.dumps({"lc": 1, "type": "constructor", "id": AIMessage.lc_id(), "kwargs": 5}),
        json.dumps({"lc": 1, "type": "constructor", "id": [["unhashable"]], "kwargs": {}}),
    ],
)
def test_anything_else_is_left_to_langchain(text: str) -> None:
    """Another class, version or form is judged by `loads`: refused, or left as it is."""

    def outcome(make: Any) -> Any:
        try:
            return make(text)
        except Exception as error:  # whatever it is, it should be the same
            return type(error), str(error)

    assert outcome(Reviver(ALLOWED)) == outcome(theirs)
