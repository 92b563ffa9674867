"""What is served belongs to a conversation that differs in the last question's wording only."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_models import Counting

from langchain_semcache import SemanticCache, Turns, cached
from langchain_semcache.prompts import from_messages, parse
from semcache_core.embedders.testing import HashEmbedder

words = st.sampled_from(["red", "blue", "seven", "the cat", "a dog", "no"])
pictures = st.sampled_from(["aGk=", "eW8="]).map(
    lambda data: {"type": "image", "base64": data, "mime_type": "image/png"}
)
questions = st.sampled_from(
    ["what is it", "What is it?", "what is it then", "where is it", "what is it not"]
)


def turn(text, picture, calls, result):
    """A human's turn with what followed."""
    asked = HumanMessage([{"type": "text", "text": text}, picture] if picture else text)
    if not calls:
        return [asked, AIMessage(text[::-1])]
    call = {"name": "look", "args": {"at": text}, "id": "c1"}
    return [asked, AIMessage("", tool_calls=[call]), ToolMessage(result, tool_call_id="c1")]


spoken = st.builds(turn, words, st.none() | pictures, st.booleans(), words)


@st.composite
def requests(draw):
    """What a model is sent: settings, messages, and the last question apart."""
    system = draw(st.none() | words.map(SystemMessage))
    earlier = [message for part in draw(st.lists(spoken, max_size=2)) for message in part]
    picture = draw(st.none() | pictures)
    question = draw(questions)
    content = question if picture is None else [{"type": "text", "text": question}, picture]
    last = HumanMessage(content)
    after = []
    if draw(st.booleans()):
        call = {"name": "look", "args": {}, "id": "c9"}
        after = [AIMessage("", tool_calls=[call]), ToolMessage(draw(words), tool_call_id="c9")]
    settings_ = {"stop": draw(st.sampled_from([None, ["x"]])), "size": draw(st.integers(0, 1))}
    messages = [*([system] if system else []), *earlier, last, *after]
    return messages, settings_, draw(st.sampled_from(["m1", "m2"]))


def without_the_wording(request):
    """The request with its last question blanked: what must be the same for a hit."""
    messages, given_, model = request
    plain = [json.loads(dumps(message))["kwargs"] for message in messages]
    last = max(n for n, message in enumerate(plain) if message["type"] == "human")
    content = plain[last]["content"]
    plain[last]["content"] = "?" if isinstance(content, str) else ["?", *content[1:]]
    return json.dumps([plain, given_, model], sort_keys=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(requests(), min_size=2, max_size=6))
def test_an_answer_never_crosses_conversations(asked):
    """Under the loosest settings, each served answer leads back to the request it was given to."""
    given_to = {}

    def reply(number, messages):
        answer = AIMessage(f"answer {len(given_to)}")
        given_to[answer.content] = current[0]
        return answer

    current = [None]
    turns = Turns(after_tools="semantic", tool_calls="exact")
    with SemanticCache(embedding=HashEmbedder(), threshold=0.5, turns=turns) as cache:
        twins = {name: cached(Counting(model=name, reply=reply), cache) for name in ("m1", "m2")}
        for request in asked + asked:
            messages, given_, model = current[0] = request
            answer = twins[model].invoke(messages, **given_)
            assert without_the_wording(given_to[answer.content]) == without_the_wording(request)


messages_ = st.lists(
    st.one_of(
        words.map(SystemMessage),
        words.map(HumanMessage),
        st.builds(
            AIMessage,
            words,
            id=st.none() | st.just("run-1"),
            response_metadata=st.just({"model_name": "m"}),
            additional_kwargs=st.sampled_from([{}, {"refusal": None}, {"function_call": {"a": 1}}]),
        ),
        st.builds(AIMessageChunk, words),
        st.builds(turn, words, pictures, st.just(True), words).map(lambda t: t[0]),
        st.builds(ToolMessage, words, tool_call_id=st.sampled_from(["1", "2"])),
    ),
    max_size=6,
)


@given(messages_)
def test_messages_and_their_json_are_read_alike(messages):
    """The twin reads messages, a `BaseCache` their JSON: the prompt is the same."""
    if messages:
        assert parse(dumps(messages)) == from_messages(messages)


@given(messages_)
def test_what_a_provider_adds_does_not_count(messages):
    """Ids, usage, metadata, chunk classes and single text blocks."""
    noisy = [noisier(message) for message in messages]
    assert from_messages(noisy) == from_messages(messages)


def noisier(message):
    noise = {"id": "another", "response_metadata": {"id": "x", "created": 1}}
    if isinstance(message.content, str):
        noise["content"] = [{"type": "text", "text": message.content}]
    if isinstance(message, AIMessage):
        noise["usage_metadata"] = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return message.model_copy(update=noise)
