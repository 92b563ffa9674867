"""From messages to what must match exactly and what may be paraphrased."""

from __future__ import annotations

import pytest
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from langchain_semcache.prompts import Question, from_messages, parse, split
from langchain_semcache.question import question_hook
from semcache_core.errors import ConfigError, UncacheableError

CALL = {"name": "f", "args": {"x": 1}, "id": "call-1"}


def of(*messages, **how):
    return split(from_messages(messages), **how)


def test_the_last_human_text_is_the_question():
    """What stands around it is exact."""
    one = of(SystemMessage("s"), HumanMessage("q one"))
    two = of(SystemMessage("s"), HumanMessage("q two"))
    assert (one.question.text, two.question.text) == ("q one", "q two")
    assert one.question.exact == two.question.exact
    assert one.whole != two.whole
    assert of(SystemMessage("t"), HumanMessage("q one")).question.exact != one.question.exact


def test_ids_of_calls_are_numbered():
    """Random ids do not count; which call a result answers does."""

    def asked(first, second, answers):
        calls = [{**CALL, "id": first}, {**CALL, "id": second}]
        result = ToolMessage("r", tool_call_id=answers)
        return of(HumanMessage("q"), AIMessage("", tool_calls=calls), result).whole

    assert asked("a", "b", "a") == asked("c", "d", "c")
    assert asked("a", "b", "a") != asked("a", "b", "b")


@pytest.mark.parametrize(
    ("messages", "kind", "why"),
    [
        ([SystemMessage("s")], "question", "no human message"),
        ([HumanMessage("q"), AIMessage("half")], "question", "the last message is not the human's"),
        ([HumanMessage("one\n\ntwo")], "question", "more than a question"),
        ([HumanMessage("Thought: a\nAction: b")], "react", "more than a question"),
    ],
)
def test_prompts_without_a_question(messages, kind, why):
    """They are for exact repeats, and it is said why."""
    found = of(*messages)
    assert found.question.text is None
    assert found.kind == kind
    assert why in found.question.why


def test_tool_results_make_another_kind_of_turn():
    """Old and new forms of results."""
    result = ToolMessage("r", tool_call_id="call-1", status="error")
    assert of(HumanMessage("q"), AIMessage("", tool_calls=[CALL]), result).kind == "after tools"
    assert of(HumanMessage("q"), FunctionMessage("r", name="f")).kind == "after tools"


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage("q", name="ann"),
        ChatMessage("q", role="judge"),
        HumanMessage([{"type": "text", "text": "q"}, {"type": "image", "base64": "aGk="}]),
        HumanMessage([{"type": "text", "text": "q", "colour": "red"}]),
        HumanMessage("q", additional_kwargs={"effort": "high"}),
        ToolMessage("q", tool_call_id="1", status="error"),
    ],
)
def test_what_the_model_is_shown_counts(message):
    """Names, roles, images, unknown block fields, extras."""
    assert from_messages([message]) != from_messages([HumanMessage("q")])


@pytest.mark.parametrize("extra", ["refusal", "reasoning_content"])
def test_what_an_earlier_answer_said_counts(extra):
    """A refusal and the reasoning are shown to the model again."""
    one, other = (AIMessage("", additional_kwargs={extra: text}) for text in ("No", "Never"))
    assert from_messages([one]) != from_messages([other])


def test_an_image_does_not_hide_the_question():
    """It is exact, the text beside it may be paraphrased."""
    image = {"type": "image", "base64": "aGk="}
    found = of(HumanMessage(["what is", {"type": "text", "text": "on it"}, image]))
    assert found.question.text is None  # two texts are two lines
    found = of(HumanMessage([{"type": "text", "text": "what is on it"}, image]))
    assert found.question.text == "what is on it"
    assert image in found.question.exact[-1]["content"]


def test_an_object_without_a_form_is_refused():
    """LangChain shows it as not implemented."""
    with pytest.raises(UncacheableError):
        from_messages([HumanMessage([{"type": "not_implemented", "repr": "<x>"}])])


def test_block_ids_of_answers_are_noise_or_numbers():
    """A provider's own ids in its blocks do not count, its call ids are numbered."""

    def answer(n):
        blocks = [
            {"type": "text", "text": "a", "id": f"msg-{n}", "index": n},
            {"type": "tool_use", "id": f"tool-{n}", "name": "f", "input": {}},
        ]
        return AIMessage(blocks, tool_calls=[{**CALL, "id": f"tool-{n}"}])

    assert from_messages([answer(1)]) == from_messages([answer(2)])


@pytest.mark.parametrize(
    "text", ["[not json", "[1, 2]", '[{"lc": 2}]', "[]x", '[{"lc":1,"type":"x"}]']
)
def test_a_text_that_begins_with_a_bracket_is_a_text(text):
    """A `BaseCache` is handed both."""
    assert parse(text) == text


def test_a_chats_json_is_read_back():
    """As the messages themselves are."""
    messages = [SystemMessage("s"), HumanMessage("q")]
    assert parse(dumps(messages)) == from_messages(messages)


def test_texts():
    """A short paragraph is its own question, a step of a ReAct agent never."""
    assert split("what is it").question.text == "what is it"
    assert split("a\n\nb").question.text is None
    assert split("Question: q\nThought: t").kind == "react"


def test_sequence_conversations_compare_what_was_said_by_meaning():
    """Plain turns leave the exact part; tool calls, images and system prompts stay."""
    said = [SystemMessage("s"), HumanMessage("one"), AIMessage("two"), HumanMessage("q")]
    found = of(*said, conversation="sequence")
    assert found.turns == ("one", "two")
    other = of(
        SystemMessage("s"),
        HumanMessage("1"),
        AIMessage("2"),
        HumanMessage("q"),
        conversation="sequence",
    )
    assert found.question.exact == other.question.exact
    called = of(
        HumanMessage("one"),
        AIMessage("x", tool_calls=[CALL]),
        ToolMessage("r", tool_call_id="call-1"),
        HumanMessage("q"),
        conversation="sequence",
    )
    assert called.turns == ("one",)


# -- naming the question -------------------------------------------------------------------------

RAG = "Answer from the context.\nContext: {context}\nQuestion: {question}\nAnswer:"


@pytest.mark.parametrize(
    "hook",
    [
        PromptTemplate.from_template(RAG),
        (PromptTemplate.from_template(RAG), "question"),
        ChatPromptTemplate.from_messages([("system", "s"), ("human", RAG)]),
    ],
)
def test_a_template_names_the_question(hook):
    """Its other variables are exact."""
    read = question_hook(hook)
    one = read(RAG.format(context="c", question="who is it"))
    two = read(RAG.format(context="c", question="who was that"))
    other = read(RAG.format(context="d", question="who is it"))
    assert one.text == "who is it"
    assert one.exact == two.exact != other.exact


def test_a_prompt_of_another_form_is_exact_only():
    """So is one whose question is empty."""
    read = question_hook(PromptTemplate.from_template(RAG))
    assert read("something else").text is None
    assert read(RAG.format(context="c", question="")).text is None


def test_a_repeated_variable_must_repeat():
    """The template is read backwards faithfully."""
    read = question_hook(PromptTemplate.from_template("{query} means {query}: {x}"))
    assert read("a means a: b").text == "a"
    assert read("a means c: b").text is None


def test_a_callable_names_the_question():
    """Its text is taken out of the prompt, or the prompt is exact."""
    read = question_hook(lambda text: text.rpartition("Q: ")[2] or None)
    found = split("rules\n\nQ: who", read)
    assert found.question.text == "who"
    assert found.question.exact == ["rules\n\nQ: ", ""]
    assert split("x\n\nQ: ", read).question.text is None
    elsewhere = split("rules\n\nx", lambda text: "not in it")
    assert elsewhere.question.exact == ["rules\n\nx"]
    assert split("q", lambda text: Question("r", 1)).question == Question("r", 1)


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (42, "callable"),
        ((PromptTemplate.from_template("{a}"), "b"), "variables"),
        (PromptTemplate.from_template("{a}"), "question or query"),
        (PromptTemplate.from_template("{{a}}", template_format="jinja2"), "f-string"),
        (ChatPromptTemplate.from_messages([("placeholder", "{history}")]), "backwards"),
    ],
)
def test_hooks_that_cannot_work(hook, says):
    """The error says what to give."""
    with pytest.raises(ConfigError, match=says):
        question_hook(hook)


def test_no_hook_is_none():
    """Then the defaults hold."""
    assert question_hook(None) is None
