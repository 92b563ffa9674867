"""The pure parts of the LlamaIndex adapter: normalisation, identities, payloads, turns, chunks."""

from __future__ import annotations

import gc
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from llama_index.core import Document, KeywordTableIndex, SummaryIndex, TreeIndex
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitableBlock,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import CustomLLM, LLMMetadata, MockLLM
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from llamaindex_models import PlainLLM
from pydantic import BaseModel, PrivateAttr, SecretStr

from llamaindex_semcache import SemanticCache, answers, cached, fingerprint, payload
from llamaindex_semcache.corpus import version_of
from llamaindex_semcache.engine_settings import EngineSettings
from llamaindex_semcache.messages import plain_messages, spoken
from llamaindex_semcache.prompts import Reading, Request
from llamaindex_semcache.responses import RESPONSE, Stored
from semcache_core.embedders.testing import HashEmbedder
from semcache_core.errors import PayloadError, UncacheableError
from semcache_core.turns import Turns


class Called(BaseModel):
    """What a provider puts among the extras."""

    id: str
    function: dict[str, Any]


# -- messages --------------------------------------------------------------------------------------


def test_a_string_is_a_single_text_block() -> None:
    """Two spellings of one message have one form; noise of the provider is left out."""
    one = ChatMessage("hi", additional_kwargs={"usage": {"n": 1}, "stop_reason": "x"})
    two = ChatMessage(role="user", blocks=[TextBlock(text="hi")])
    assert plain_messages([one]) == plain_messages([two]) == [{"role": "user", "content": "hi"}]


def test_extras_are_objects_or_dicts() -> None:
    """A provider's object counts like the dict that replaces it, its ids by their order."""
    calls = [Called(id="call_1", function={"name": "f"})]
    as_object = ChatMessage(role="assistant", additional_kwargs={"tool_calls": calls})
    other = [{"id": "call_2", "function": {"name": "f"}, "index": None}]
    as_dict = ChatMessage(role="assistant", additional_kwargs={"tool_calls": other})
    answer = ChatMessage(role="tool", content="4", additional_kwargs={"tool_call_id": "call_2"})
    assert plain_messages([as_object]) == plain_messages([as_dict])
    assert plain_messages([as_dict, answer])[1]["extras"] == {"tool_call_id": "call 0"}
    block = ToolCallBlock(tool_call_id="call_9", tool_name="f", tool_kwargs={})
    with_block = ChatMessage(
        role="assistant", blocks=[block], additional_kwargs={"tool_calls": calls}
    )
    assert "extras" not in plain_messages([with_block])[0]


def test_files_count_by_content(tmp_path: Path) -> None:
    """A path and an open file are told apart by what they hold, and are left where they were."""
    file = tmp_path / "a.txt"
    file.write_bytes(b"one")
    first = plain_messages([ChatMessage(role="user", blocks=[DocumentBlock(path=file)])])
    file.write_bytes(b"two")
    second = plain_messages([ChatMessage(role="user", blocks=[DocumentBlock(path=file)])])
    assert first != second
    for opened in (io.BytesIO(b"\x89PNGx"), io.StringIO("text")):
        opened.seek(2)
        block = ImageBlock.model_construct(image=opened)
        [message] = plain_messages([ChatMessage.model_construct(role="user", blocks=[block])])
        assert "file" in message["content"][0]["image"]
        assert opened.tell() == 2


def test_nested_blocks() -> None:
    """Blocks within blocks are taken apart as well."""
    block = CitableBlock(title="t", source="s", content=[TextBlock(text="c")])
    [message] = plain_messages([ChatMessage(role="user", blocks=[block])])
    assert message["content"][0]["content"] == ["c"]


def test_spoken_turns() -> None:
    """Texts of users and assistants are compared by meaning; the rest stays exact."""
    messages = plain_messages(
        [
            ChatMessage(role="system", content="Be kind."),
            ChatMessage("Hello"),
            ChatMessage(role="assistant", content="Hi"),
        ]
    )
    exact, texts = spoken(messages)
    assert texts == ("Hello", "Hi")
    assert exact[0] == {"role": "system", "content": "Be kind."}
    assert "Hello" not in str(exact)


# -- identities ------------------------------------------------------------------------------------


def test_secrets_by_name_and_type() -> None:
    """What is left out of keys and dumps, and what is not."""
    for name in ("api_key", "openai_api_key", "default_headers", "auth_token", "aws_secret"):
        assert fingerprint.is_secret(name, "x"), name
    for name in ("max_tokens", "model", "stop_token_ids", "keyboard", "top_p"):
        assert not fingerprint.is_secret(name, "x"), name
    assert fingerprint.is_secret("plain", SecretStr("x"))
    assert fingerprint.scrubbed({"api_key": "x", "model": "m"}) == {"model": "m"}


def test_functions_and_objects_by_name() -> None:
    """Functions count by their names, lambdas by their code too, other things by their class."""

    def templates() -> Any:
        return [lambda text: text + "1", lambda text: text + "2"]

    one, two = templates()
    again, _ = templates()
    assert fingerprint.told(one) != fingerprint.told(two)
    assert fingerprint.told(one) == fingerprint.told(again)
    assert fingerprint.told(len) == b'["builtins.len"]'
    assert fingerprint.told(object()) == b'["builtins.object"]'
    assert fingerprint.told({"a": object()}) == b'["builtins.dict"]'


def test_tools_by_what_the_model_is_told() -> None:
    """Two tools of one name with different parameters are different."""

    def f(a: int) -> int:
        """Say a number."""
        return a

    def g(a: str) -> str:
        """Say a number."""
        return a

    one, two = (FunctionTool.from_defaults(fn, name="f", description="d") for fn in (f, g))
    assert fingerprint.stable([one]) != fingerprint.stable([two])
    called = fingerprint.stable({"x": Called(id="1", function={})})
    assert called["x"][1] == {"id": "1", "function": {}}


def test_pins_go_with_their_model() -> None:
    """What was learnt of a model is forgotten with it."""
    llm = MockLLM()
    settings = fingerprint.Fingerprint(llm)
    with settings.watched():
        llm.max_tokens = 5  # a setting of its own kind, changed while at work
    assert id(llm) in fingerprint._all_pins
    known = id(llm)
    del llm, settings
    gc.collect()
    assert known not in fingerprint._all_pins
    with pytest.raises(NotImplementedError):
        fingerprint.Settings(MockLLM()).fields()


# -- what a call asks for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        (None, False),
        ("auto", False),
        ("none", False),
        ("required", True),
        ("any", True),
        ({"type": "any"}, True),
        ({"type": "auto"}, False),
        ({"type": "function", "function": {"name": "f"}}, True),
        ({"name": "f"}, True),
    ],
)
def test_forced_tools(choice: Any, forced: bool) -> None:
    """A single tool that must be called is structured output, in any provider's words."""
    kwargs = {"tools": [{"name": "f"}], "tool_choice": choice}
    assert Request.of(kwargs, structured=False).forced is forced
    assert Request.of(kwargs, structured=True).forced
    two = {**kwargs, "tools": [{"name": "f"}, {"name": "g"}]}
    assert not Request.of(two, structured=True).forced
    assert not Request.of({"tool_choice": choice}, structured=True).forced


def test_headers_without_the_secret_ones() -> None:
    """A tenant's header counts, of a model and of a call; keys and tokens in headers do not."""
    secret = {"Authorization": "a", "X-API-Key": "b", "api-key": "c", "Cookie": "d"}
    assert fingerprint.open_headers("default_headers", {**secret, "X-Tenant": "ann"}) == {
        "x_tenant": "ann"
    }
    assert fingerprint.open_headers("extra_headers", secret) == {}
    assert fingerprint.open_headers("headers", None) == {}
    plain, ann = ({"extra_headers": {**secret, **more}} for more in ({}, {"X-Tenant": "ann"}))
    assert Request.of(plain, structured=False).exact == Request.of({}, structured=False).exact
    assert Request.of(ann, structured=False).exact == {"extra_headers": {"x_tenant": "ann"}}


def test_secrets_among_arguments_do_not_count() -> None:
    """Headers with a token are not part of the key; what has no form is refused."""
    given = {"extra_headers": {"Authorization": "b"}, "n": 1}
    assert Request.of(given, structured=False).exact == {"n": 1}
    with pytest.raises(UncacheableError):
        from semcache_core.keys import canonical

        canonical(Request.of({"n": object()}, structured=False).exact)


def parts(*messages: ChatMessage, **reading: Any) -> Any:
    """How a conversation is read."""
    names = ("query_str",)
    return Reading(names, **reading).chat(MockLLM(), messages)


def test_kinds_of_turns() -> None:
    """Tool results, an agent's text, prefilled answers: each is its kind."""
    user, result = ChatMessage("What is it?"), ChatMessage(role="tool", content="42")
    assert (parts(user).kind, parts(user).question) == ("question", "What is it?")
    assert parts(user, result).kind == "after tools"
    assert parts(user, result).question == "What is it?"
    prefilled = parts(user, ChatMessage(role="assistant", content="It is"))
    assert (prefilled.question, prefilled.why) == (None, "the last message is not the user's")
    assert parts(ChatMessage("Observation: 4")).kind == "react"
    system = ChatMessage(role="system", content="Write <execute>code</execute>")
    assert parts(system, user).kind == "react"
    long = parts(ChatMessage("Context:\nWhat is it?"))
    assert (long.question, "question=" in long.why) == (None, True)
    turns, request = Turns(), Request.of({"tools": [{}, {}]}, structured=False)
    modes = [request.mode(kind, turns) for kind in ("question", "after tools", "react")]
    assert modes == ["semantic", "exact", "exact"]


def test_a_hook_names_the_question() -> None:
    """What stands around the question must match exactly."""
    hook = lambda text: text.partition("Q: ")[2] or None  # noqa: E731  # as a user writes it
    one = parts(ChatMessage("Shop A\nQ: When?"), hook=hook)
    two = parts(ChatMessage("Shop B\nQ: When?"), hook=hook)
    assert one.question == two.question == "When?"
    assert one.exact != two.exact
    assert parts(ChatMessage("nothing"), hook=hook).question is None
    paraphrasing = parts(ChatMessage("Shop A"), hook=lambda text: "Something else?")
    assert (paraphrasing.question, "Shop A" in str(paraphrasing.exact)) == ("Something else?", True)


# -- answers ---------------------------------------------------------------------------------------


def chat(**more: Any) -> ChatResponse:
    """A response of the assistant."""
    message = more.pop("message", ChatMessage(role="assistant", content="yes"))
    return ChatResponse(message=message, **more)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (chat(), ""),
        (chat(raw={"choices": [{"finish_reason": "length"}]}), "cut short"),
        (chat(raw={"stop_reason": "max_tokens"}), "cut short"),
        (chat(raw={"done_reason": "length"}), "cut short"),
        (chat(raw={"choices": [{"finish_reason": "content_filter"}]}), "filtered or refused"),
        (chat(additional_kwargs={"finish_reason": "SAFETY"}), "filtered or refused"),
        (chat(raw={"choices": [{"finish_reason": None}]}), ""),
        (chat(message=ChatMessage(role="assistant", content="")), "empty answer"),
        (chat(message=ChatMessage(role="assistant", blocks=[ThinkingBlock()])), "empty answer"),
        (chat(message=ChatMessage(role="assistant", blocks=[ImageBlock(url="https://a.b/c")])), ""),
        (CompletionResponse(text=" "), "empty answer"),
        (CompletionResponse(text="x", raw={"choices": [{"finish_reason": "length"}]}), "cut short"),
    ],
)
def test_what_is_not_worth_keeping(answer: Any, why: str) -> None:
    """Cut short, filtered, refused or empty answers are not stored."""
    assert answers.unfit(answer) == why


def test_tokens_wherever_they_are_said() -> None:
    """OpenAI's counts, Anthropic's usage, or nothing."""
    assert answers.tokens(chat(additional_kwargs={"total_tokens": 12})) == 12
    assert answers.tokens(chat(raw={"usage": {"input_tokens": 7, "output_tokens": 5}})) == 12
    usage = {"usage": {"input_tokens": 3, "output_tokens": None}}
    message = ChatMessage(role="assistant", content="x", additional_kwargs=usage)
    assert answers.tokens(chat(message=message)) == 3
    assert answers.tokens(chat()) == 0


def test_joining_what_providers_stream() -> None:
    """Last chunks that are empty, and providers that send deltas only, still join to the whole."""
    first = chat(delta="yes", raw={"choices": [{"finish_reason": "stop"}]})
    empty = chat(message=ChatMessage(role="assistant", blocks=[]), delta="")
    assert answers.joined_chat([first, empty]).message.content == "yes"
    deltas = [
        chat(message=ChatMessage(role="assistant", content=word), delta=word)
        for word in ("one ", "two")
    ]
    assert answers.joined_chat(deltas).message.content == "one two"
    cut = chat(delta="y", raw={"choices": [{"finish_reason": "length"}]})
    assert answers.unfit(answers.joined_chat([cut, empty])) == "cut short"
    texts = [CompletionResponse(text=word, delta=word) for word in ("one ", "two")]
    assert answers.joined_completion(texts).text == "one two"
    for join in (answers.joined_chat, answers.joined_completion):
        with pytest.raises(ValueError, match="empty"):
            join([])
    assert not answers.calls_tools(CompletionResponse(text="x"))


# -- payloads --------------------------------------------------------------------------------------


def test_objects_among_extras_come_back() -> None:
    """A provider's object is revived as one; its class must be loaded, and plain data."""
    extras = {"tool_calls": [Called(id="1", function={"name": "f"})], "more": ({"a": 1},)}
    message = ChatMessage(
        role="assistant", content="x", additional_kwargs={"c": extras["tool_calls"]}
    )
    decoded = payload.CHAT.decode(payload.CHAT.encode(chat(message=message)))
    assert decoded.message.additional_kwargs["c"] == extras["tool_calls"]
    gone = {"semcache:class": "no.such:Thing", "semcache:fields": {"a": 1}}
    assert payload.revived({"x": gone}) == {"x": {"a": 1}}
    component = {
        "semcache:class": "llama_index.core.llms.mock:MockLLM",
        "semcache:fields": {"a": 1},
    }
    assert payload.revived(component) == {"a": 1}
    assert payload.plain(({"a": 1},)) == [{"a": 1}]


def test_what_does_not_survive_is_refused() -> None:
    """An answer that would come back changed, or not at all, is not stored."""
    for extras in ({"x": object()}, {"x": {1, 2}}, {"x": (1, 2)}):
        with pytest.raises(PayloadError):
            payload.CHAT.encode(chat(additional_kwargs=extras))
    with pytest.raises(PayloadError, match="not a loaded kind"):
        payload.CHAT.decode(orjson.dumps(["no.such:Thing", {}]))
    with pytest.raises(PayloadError, match="not a loaded kind"):
        payload.CHAT.decode(payload.COMPLETION.encode(CompletionResponse(text="x")))


def test_text_of_tool_calls() -> None:
    """An answer that only calls tools is shown as their JSON."""
    block = ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs={"a": 1})
    data = payload.CHAT.encode(chat(message=ChatMessage(role="assistant", blocks=[block])))
    assert '"tool_name":"f"' in payload.CHAT.text(data)


class Numbers(BaseModel):
    """An object with a field that JSON cannot hold as it is."""

    values: Any


def test_objects_round_trip_or_are_refused() -> None:
    """Objects of a class come back equal; those that would not are refused."""
    codec = payload.ObjectCodec(Numbers)
    assert codec.decode(codec.encode(Numbers(values=[1]))) == Numbers(values=[1])
    assert codec.text(codec.encode(Numbers(values=[1]))) == '{"values":[1]}'
    for wrong in (Numbers(values=(1,)), Numbers(values=object())):
        with pytest.raises(PayloadError):
            codec.encode(wrong)
    with pytest.raises(PayloadError):
        codec.decode(b"[")


def test_responses_that_do_not_survive() -> None:
    """Metadata that JSON cannot hold is refused; an embedding is not kept."""
    for metadata in ({"x": object()}, {"x": (1,)}):
        with pytest.raises(PayloadError):
            RESPONSE.encode(Stored("x", metadata=metadata))
    node = NodeWithScore(node=TextNode(text="t", embedding=[1.0]), score=0.5)
    from llama_index.core.base.response.schema import Response

    kept = Stored.of(Response("x", source_nodes=[node]))
    assert kept.source_nodes[0].node.embedding is None
    assert node.node.embedding == [1.0]
    data = RESPONSE.encode(Stored(Numbers(values=1)))
    assert RESPONSE.decode(data).said == Numbers(values=1)
    assert '"values":1' in RESPONSE.text(data)


# -- documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SummaryIndex, TreeIndex, KeywordTableIndex])
def test_every_kind_of_index_has_a_version(kind: Any) -> None:
    """Equal documents, equal versions; an insertion changes it."""
    made = [kind.from_documents([Document(text="Ships sail.")], llm=MockLLM()) for _ in range(2)]
    assert version_of(made[0]) == version_of(made[1])
    before = version_of(made[0])
    made[0].insert(Document(text="Trains run."))
    assert version_of(made[0]) != before == version_of(made[1])


def test_settings_of_circular_engines() -> None:
    """An object that holds itself is described once; classes and functions by their names."""

    class Loop:
        def __init__(self) -> None:
            self.me = self
            self.kind = Loop
            self.api_key = "sk-secret"
            self.numbers = {"a": [1, 2]}

    found = EngineSettings(Loop()).fields()
    assert b"secret" not in b"".join(found.values())
    assert found[".numbers.a.1"] == b"2"
    assert b"Loop" in found[".me"]


class Adapter(CustomLLM):
    """Hands its calls on to a model that it keeps to itself, as LangChainLLM does."""

    _inner: Any = PrivateAttr()

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self._inner = inner

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="unknown")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        inner = self._inner
        said = inner.complete(prompt).text if isinstance(inner, PlainLLM) else inner.invoke(prompt)
        return CompletionResponse(text=str(said))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("kind", ["LlamaIndex", "LangChain"])
def test_a_model_behind_a_model_counts(kind: str) -> None:
    """Two adapters of two models do not answer for one another; two of one model do."""
    from langchain_models import CountingLLM

    def inner(name: str) -> Any:
        return PlainLLM(model=name) if kind == "LlamaIndex" else CountingLLM(style=name)

    with SemanticCache(embed_model=HashEmbedder()) as cache:
        asked = [cached(Adapter(inner(name)), cache) for name in ("a", "b", "a")]
        for llm in asked:
            llm.complete("Name a river.")
        assert (cache.stats().entries, cache.stats().hits) == (2, 1)
        assert cache.stats().errors == {}
