"""Requests taken apart: what may be reworded, what must match, what makes two of them the same."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.errors import ConfigError
from semcache_core.models import Prompt
from semcache_core.server import ServerSettings
from semcache_core.server.endpoints import CHAT, COMPLETION, RESPONSE
from semcache_core.server.endpoints.embeddings import inputs, items_of, prompts
from semcache_core.server.messages import split
from semcache_core.server.plans import NotUnderstood, Place
from semcache_core.server.templates import Template
from semcache_core.turns import Turns

QUESTION = "How do I reset my password?"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def place(**changes: Any) -> Place:
    """Where a request comes in."""
    how: dict[str, Any] = {"namespace": "", "exact": ["u"], "turns": Turns(), "ignored": ()}
    return Place(**{**how, **changes})


def chat(*messages: Any, where: Place | None = None, **more: Any) -> Prompt:
    """The key of a chat."""
    body = {"model": "m", "messages": list(messages), **more}
    prompt = CHAT.endpoint.plan(body, where or place()).prompt
    assert prompt is not None
    return prompt


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def calling(name: str, content: Any = None, **more: Any) -> list[dict[str, Any]]:
    """A turn that calls a tool under this id, and its result."""
    call = {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": content, "tool_calls": [call], **more},
        {"role": "tool", "tool_call_id": name, "content": "42"},
    ]


def test_the_question_is_the_last_users_text() -> None:
    """And nothing of it is in the scope: two questions of one conversation share it."""
    system = {"role": "system", "content": "Be brief."}
    one, two = chat(system, user(QUESTION)), chat(system, user("What is rain?"))
    assert one.query == QUESTION
    assert one.scope == two.scope
    assert one.key != two.key


@pytest.mark.parametrize(
    "same",
    [
        [user([{"type": "text", "text": QUESTION}])],
        [user([{"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral"}}])],
        [{**user(QUESTION), "name": None, "tool_calls": [], "refusal": None}],
    ],
)
def test_clients_forms_of_one_message_are_one_message(same: list[Any]) -> None:
    """A part in place of a text, and empty fields, change no key."""
    assert chat(*same) == chat(user(QUESTION))


def test_random_ids_of_tool_calls_do_not_count() -> None:
    """But which result belongs to which call does."""
    one = chat(user(QUESTION), *calling("call_a"))
    assert one == chat(user(QUESTION), *calling("call_b", content="", annotations=[]))
    assert one.query is None
    crossed = [{**calling("x")[1], "tool_call_id": "y"}]
    both = [calling("x")[0], *calling("y")[:1]]
    assert chat(user(QUESTION), *both, calling("x")[1]).key != (
        chat(user(QUESTION), *both, *crossed).key
    )


def test_images_must_match_and_the_text_beside_them_may_not() -> None:
    """The scope holds the image and where the text stood."""

    def shown(text: str, url: str) -> Prompt:
        image = {"type": "image_url", "image_url": {"url": url}}
        return chat(user([{"type": "text", "text": text}, image]))

    assert shown("What is this?", "data:a").query == "What is this?"
    assert shown("What is this?", "data:a").scope == shown("What's this?", "data:a").scope
    assert shown("What is this?", "data:a").scope != shown("What is this?", "data:b").scope
    assert shown("What is this?", "data:a").scope != chat(user("What is this?")).scope


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "system", "content": "x"}], "no user message"),
        ([user("a"), {"role": "assistant", "content": "b"}], "not the user's"),
        ([user("Context:\nrain\n\nWhat is it?")], "more than one paragraph"),
        ([user("")], "more than one paragraph"),
        ([user([{"type": "image_url", "image_url": {"url": "x"}}])], "more than one paragraph"),
    ],
)
def test_what_has_no_question_matches_exactly(messages: list[Any], why: str) -> None:
    """And it is told why."""
    found = chat(*messages)
    assert found.query is None
    assert why in found.exact_only


def test_templates_name_the_question() -> None:
    """Its other variables must match; a text of another form is read without."""
    where = place(templates=(Template("Context: {context}\n\nQuestion: {question}"),))

    def filled(context: str, question: str) -> Prompt:
        return chat(user(f"Context: {context}\n\nQuestion: {question}"), where=where)

    assert filled("rain", "What is it?").query == "What is it?"
    assert filled("rain", "What is it?").scope == filled("rain", "What's it?").scope
    assert filled("rain", "What is it?").scope != filled("sun", "What is it?").scope
    assert filled("rain", "").query is None
    assert chat(user(QUESTION), where=where).query == QUESTION
    assert chat(user(QUESTION), where=where) == chat(user(QUESTION))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"upstream": 3}, "give a URL"),
        ({"upstream": "http://"}, "give a URL"),
        ({"turns": {}}, "give a semcache_core.turns.Turns"),
        ({"max_body": 0}, "give a number of bytes"),
        ({"timeout": True}, "give a number of seconds above 0"),
        ({"timeout": float("inf")}, "give a number of seconds above 0"),
        ({"keys": {"a": "sha256:" + "0" * 64, "b": "sha256:" + "0" * 64}}, "have the same key"),
        ({"keys": {"a": "sha256:" + "0" * 64}, "open": True}, "give one of them"),
        ({"upstream_api_key": "a b\n", "open": True}, "characters that no key has"),
        ({"upstream_api_key": "", "open": True}, "it is empty"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, Any], words: str) -> None:
    """Each names the setting, and what can be given."""
    with pytest.raises(ConfigError, match=words):
        ServerSettings(**{"upstream": "http://x", **changed})


def test_an_upstream_without_a_path_gets_v1() -> None:
    """One with a path is taken as it is; keys are in no representation."""
    assert ServerSettings("http://x:1").upstream == "http://x:1/v1"
    assert ServerSettings("https://x/api/").upstream == "https://x/api"
    assert "secret" not in repr(ServerSettings("http://x", upstream_api_key="secret", open=True))


@pytest.mark.parametrize("text", [3, "no variable", "{context}", "{", "{0}"])
def test_a_template_without_a_question_is_refused(text: Any) -> None:
    """When the server is started."""
    with pytest.raises(ConfigError):
        Template(text)


@pytest.mark.parametrize(
    ("turns", "messages", "more", "semantic"),
    [
        (Turns(), [user(QUESTION)], {}, True),
        (Turns(question="exact"), [user(QUESTION)], {}, False),
        (Turns(), [user(QUESTION)], {"tools": [TOOL]}, True),
        (Turns(tools_offered="exact"), [user(QUESTION)], {"tools": [TOOL]}, False),
        (Turns(), [user(QUESTION), *calling("a")], {"tools": [TOOL]}, False),
        (Turns(after_tools="semantic"), [user(QUESTION), *calling("a")], {}, True),
        (Turns(), [user("Question: x Thought: y")], {}, True),
        (Turns(), [user("Thought: y")], {}, False),
        (Turns(react="semantic"), [user("Thought: y")], {}, True),
        (Turns(), [user(QUESTION)], {"tools": [TOOL], "tool_choice": "required"}, False),
        (Turns(), [user(QUESTION)], {"functions": [{}], "function_call": {"name": "f"}}, False),
        (Turns(), [user(QUESTION)], {"tools": [TOOL], "tool_choice": "auto"}, True),
    ],
)
def test_each_kind_of_turn_is_cached_as_it_is_said(
    turns: Turns, messages: list[Any], more: dict[str, Any], semantic: bool
) -> None:
    """The table that both frameworks' adapters follow."""
    assert (chat(*messages, where=place(turns=turns), **more).query is not None) == semantic


def test_turns_that_are_off_are_not_looked_up() -> None:
    """And it is told which."""
    plan = CHAT.endpoint.plan(
        {"model": "m", "messages": [user(QUESTION)]}, place(turns=Turns(question="off"))
    )
    assert plan.prompt is None
    assert plan.why == "question: off"


def test_what_is_ignored_is_out_of_the_key() -> None:
    """Delivery always; books and the like where the server says so."""
    where = place(ignored=("user",))
    plain = chat(user(QUESTION), where=where)
    assert chat(user(QUESTION), where=where, user="ann", stream=True, top_p=None) == plain
    assert chat(user(QUESTION), where=where, temperature=0).key != plain.key
    assert chat(user(QUESTION), user="ann").key != chat(user(QUESTION), user="bob").key


def test_the_kind_and_the_place_are_in_the_key() -> None:
    """One question at two endpoints, upstreams or in two namespaces is two entries."""
    bodies: list[tuple[Any, dict[str, Any]]] = [
        (CHAT, {"messages": [user(QUESTION)]}),
        (COMPLETION, {"prompt": QUESTION}),
        (RESPONSE, {"input": QUESTION, "store": False}),
    ]
    found = {
        replies.endpoint.plan(body, where).prompt
        for replies, body in bodies
        for where in (place(), place(exact=["v"]), place(namespace="a"))
    }
    assert len({one.scope for one in found if one is not None}) == 9


def test_what_is_no_request_is_left_to_the_upstream() -> None:
    """At each endpoint."""
    for replies, body in (
        (CHAT, {"messages": "x"}),
        (CHAT, {"messages": [1]}),
        (COMPLETION, {"prompt": {}}),
        (COMPLETION, {}),
        (RESPONSE, {"store": False}),
        (RESPONSE, {"store": False, "input": [3]}),
    ):
        with pytest.raises(NotUnderstood):
            replies.endpoint.plan(body, place())
    assert inputs({"input": 3}) == inputs({}) == inputs({"input": ["a", 3]}) == []


def test_temperature_is_told_to_the_cache() -> None:
    """Only a number is one."""
    assert chat(user(QUESTION), temperature=1).temperature == 1.0
    assert chat(user(QUESTION), temperature=True).temperature is None
    assert chat(user(QUESTION)).temperature is None


def test_a_response_input_is_read_like_a_chat() -> None:
    """Calls and their results among the items; a text is one item."""

    def key(given: Any) -> Prompt | None:
        return RESPONSE.endpoint.plan({"input": given, "store": False}, place()).prompt

    def turn(name: str) -> list[Any]:
        call = {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"}
        return [user("a"), call, {"type": "function_call_output", "call_id": name, "output": "1"}]

    assert key(QUESTION) == key([user(QUESTION)])
    assert key(turn("x")) == key(turn("y"))
    found = key(turn("x"))
    assert found is not None
    assert found.query is None


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists))
def test_no_content_breaks_the_split_in_another_way(content: Any) -> None:
    """Whatever JSON a message holds, it is split, or it is no message."""
    for messages in ([user(content)], [{"role": content, "content": "x"}], [content]):
        try:
            found = split(messages)
        except (TypeError, AttributeError):
            continue
        assert found.question is None or found.question.strip()


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_no_text_forges_another_scope(one: list[str], two: list[str]) -> None:
    """Different earlier turns are different scopes, whatever delimiters are in them."""

    def conversation(texts: list[str]) -> Prompt:
        return chat(*map(user, texts), user(QUESTION))

    same = [unicodedata.normalize("NFC", t) for t in one] == [
        unicodedata.normalize("NFC", t) for t in two
    ]
    assert (conversation(one).scope == conversation(two).scope) == same


def test_embeddings_are_put_in_order() -> None:
    """By their index; what is not one a text is no answer."""
    two = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    assert items_of({"data": two}, 2) == two[::-1]
    assert items_of({"data": two}, 3) is None
    assert items_of({"data": [two[0], two[0]]}, 2) is None
    assert items_of({"data": [{"index": 0}]}, 1) is None
    assert items_of(None, 1) is None
    assert [one.query for one in prompts({"input": ["a", [1]]}, place())] == [None, None]
