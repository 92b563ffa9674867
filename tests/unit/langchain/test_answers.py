"""Answers to bytes, back, and into chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from pydantic import BaseModel

from langchain_semcache import llm_string
from langchain_semcache.payload import CODEC, calls_tools, served, tokens, unfit
from langchain_semcache.replay import chat_chunks, pieces, text_chunks
from langchain_semcache.results import ChatResults, TextResults, joined, joined_text
from semcache_core.errors import PayloadError, UncacheableError

CALL = {"name": "f", "args": {"x": "é"}, "id": "call-1", "type": "tool_call"}
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
MESSAGES = [
    AIMessage("a  text\nwith   gaps "),
    AIMessage("", tool_calls=[CALL, {**CALL, "id": "call-2"}]),
    AIMessage("say and do", tool_calls=[CALL], usage_metadata=USAGE),
    AIMessage(
        [{"type": "text", "text": "one two", "index": 0}, {"type": "text", "text": "3", "index": 1}]
    ),
    AIMessage([{"type": "text", "text": "no index"}, "loose"]),
    AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}]),
    AIMessage("x", additional_kwargs={"k": {"a": [1]}}, response_metadata={"model_name": "m"}),
    AIMessage("x", response_metadata={"model_provider": "openai", "output_version": "v1"}),
    AIMessage("", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": "bad"}]),
    AIMessage("x", name="ann"),
]


def chat(message):
    return ChatGeneration(message=message)


@pytest.mark.parametrize("message", MESSAGES)
def test_answers_round_trip(message):
    """Everything but the id and our own marks."""
    marked = message.model_copy(
        update={"id": "1", "response_metadata": {**message.response_metadata, "semcache": {}}}
    )
    (back,) = CODEC.decode(CODEC.encode([chat(marked)]))
    assert back.message == message
    assert CODEC.decode(CODEC.encode([chat(message)]))[0].message is not back.message


@pytest.mark.parametrize("message", MESSAGES)
def test_chunks_join_to_the_answer(message):
    """Whatever it is made of; the last chunk is marked as the last."""
    found = list(chat_chunks(chat(message)))
    (whole,) = joined(found).generations
    assert whole.message == message
    assert found[-1].message.chunk_position == "last"
    assert message_chunk_to_message(sum(found[1:], found[0]).message).content == message.content


@given(st.text())
def test_pieces_join_to_the_text(text):
    """And are at most 64."""
    found = pieces(text)
    assert "".join(found) == text
    assert len(found) <= 64
    chunks = list(text_chunks(Generation(text=text, generation_info={"a": 1})))
    answer = joined_text(chunks).generations[0][0]
    assert (answer.text, answer.generation_info) == (text, {"a": 1})


def test_no_chunks_are_no_answer():
    """Nothing is stored of them."""
    for join in (joined, joined_text):
        with pytest.raises(ValueError, match="no chunk"):
            join([])


@pytest.mark.parametrize("data", [b"{}", b"[]", b'["{}"]', b"\xff", b'["x"]', b'["[1]"]'])
def test_what_is_no_answer_is_refused(data):
    """Damaged, empty, or something else."""
    with pytest.raises(PayloadError):
        CODEC.decode(data)


def test_other_classes_are_not_brought_to_life():
    """The file is untrusted."""
    from langchain_core.load import dumps
    from langchain_core.prompts import PromptTemplate

    stored = dumps([dumps(PromptTemplate.from_template("{x}"))])
    with pytest.raises(PayloadError):
        CODEC.decode(stored.encode())


def test_an_answer_that_does_not_come_back_is_refused():
    """Rather at the store than at the hit."""
    odd = Generation(text="a", generation_info={"thing": object()})
    with pytest.raises(PayloadError):
        CODEC.encode([odd])


class Parsed(BaseModel):
    a: int


@pytest.mark.parametrize(("content", "kept"), [('{"a": 1}', {"a": 1}), ("loose", {"a": 2})])
def test_a_parsed_object_is_kept_as_json(content, kept):
    """As the text it was parsed from, else as its dump."""
    message = AIMessage(content, additional_kwargs={"parsed": Parsed(a=2)})
    (back,) = CODEC.decode(CODEC.encode([chat(message)]))
    assert back.message.additional_kwargs["parsed"] == kept


def test_the_text_of_an_answer():
    """For people and judges: the text, or the calls."""
    assert CODEC.text(CODEC.encode([Generation(text="a")])) == "a"
    assert "call-1" in CODEC.text(CODEC.encode([chat(AIMessage("", tool_calls=[CALL]))]))
    result = ChatResult(generations=[chat(AIMessage("b"))])
    assert ChatResults().text(ChatResults().encode(result)) == "b"
    texts = LLMResult(generations=[[Generation(text="c")]])
    assert TextResults().text(TextResults().encode(texts)) == "c"


def test_a_result_is_stored_as_langchain_would_store_it():
    """With what the provider said beside the message; in the model's own output version."""
    message = AIMessage("a", response_metadata={"own": 1})
    generation = ChatGeneration(message=message, generation_info={"finish_reason": "stop"})
    result = ChatResult(generations=[generation], llm_output={"system_fingerprint": "f"})
    back = ChatResults("v1").decode(ChatResults("v1").encode(result)).generations[0].message
    assert back.response_metadata == {
        "own": 1,
        "finish_reason": "stop",
        "system_fingerprint": "f",
        "output_version": "v1",
    }
    assert back.content == [{"type": "text", "text": "a"}]
    assert message.content == "a"


def test_serving_renews_ids_everywhere():
    """Wherever the provider repeats a call's id."""
    blocks = [{"type": "tool_use", "id": "call-1", "name": "f", "input": {}}, "text"]
    message = AIMessageChunk(
        blocks,
        id="old",
        tool_calls=[CALL, {**CALL, "id": None}],
        additional_kwargs={"tool_calls": [{"id": "call-1"}]},
    )
    served([chat(message), Generation(text="a")], {"hit": "exact"})
    fresh_id = message.tool_calls[0]["id"]
    assert fresh_id.startswith("call_")
    assert message.content[0]["id"] == fresh_id
    assert message.additional_kwargs["tool_calls"][0]["id"] == fresh_id
    assert message.tool_calls[1]["id"] is None
    assert message.id is None


def test_what_is_said_of_answers():
    """Tokens, calls and fitness, of anything that LangChain may hand over."""
    assert tokens([chat(AIMessage("a", usage_metadata=USAGE)), Generation(text="b")]) == 3
    assert tokens([chat(HumanMessage("a"))]) == 0
    assert calls_tools([chat(AIMessage("", additional_kwargs={"function_call": {}}))])
    assert not calls_tools([Generation(text="a")])
    assert unfit([]) == "empty answer"
    assert unfit([Generation(text=" ")]) == "empty answer"
    assert unfit([Generation(text="a", generation_info={"finish_reason": "length"})])
    assert unfit([chat(AIMessage([{"type": "image", "base64": "aGk="}]))]) == ""


# -- the string that identifies a model ----------------------------------------------------------


def test_what_a_model_string_says():
    """Of a model that can be serialised and of one that cannot."""
    one = llm_string.read(
        '{"kwargs": {"model_name": "gpt-4o", "temperature": 0.3}}---[(\'stop\', None)]'
    )
    assert (one.model, one.temperature, one.tools) == ("gpt-4o", 0.3, False)
    two = llm_string.read("[('_type', 'fake'), ('stop', None), ('temperature', 1)]")
    assert (two.model, two.temperature) == ("fake", 1.0)
    call = "[('temperature', 0.9), ('tool_choice', 'any'), ('tools', [{'a': 1}])]"
    three = llm_string.read('{"temperature": 0.0}---' + call)
    assert (three.temperature, three.tools, three.forced_tool) == (0.9, True, True)
    assert not llm_string.read("[('tool_choice', 'auto'), ('tools', [{'a': 1}])]").forced_tool
    assert llm_string.read("nonsense [").model == ""
    assert llm_string.read("[('odd', nan), ('tools', [{'a': 1}])]").tools


def test_objects_shown_by_address_are_refused():
    """The next object at that address would be taken for this one."""
    with pytest.raises(UncacheableError, match="0x7f"):
        llm_string.read("[('client', <thing object at 0x7f00>)]")


def test_a_class_is_known_by_its_schema():
    """From the call's arguments, else among all models alive; unknown names are refused."""
    name = f"{Parsed.__module__}.{Parsed.__qualname__}"
    text = f"[('response_format', <class '{name}'>)]"
    params = llm_string.read(text)
    assert llm_string.schemas(params, text) == [Parsed.model_json_schema()]
    given_ = {"x": [{"response_format": Parsed}], "n": 1}
    assert llm_string.schemas(params, text, given_) == [Parsed.model_json_schema()]
    odd = "[('response_format', <class 'nowhere.Nothing'>)]"
    with pytest.raises(UncacheableError, match=r"nowhere\.Nothing"):
        llm_string.schemas(llm_string.read(odd), odd)


def test_a_class_without_a_schema_is_known_by_itself():
    """Its annotations are its form."""

    class Plain(dict):
        a: int

    name = f"{Plain.__module__}.{Plain.__qualname__}"
    text = f"[('response_format', <class '{name}'>)]"
    params = llm_string.read(text)
    assert llm_string.schemas(params, text, {"response_format": Plain}) == [Plain]
