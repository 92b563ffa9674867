"""Round trips of LlamaIndex's answers, whatever they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    LogProb,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_semcache import answers
from llamaindex_semcache.messages import plain_messages
from llamaindex_semcache.payload import CHAT, COMPLETION, storable
from llamaindex_semcache.responses import RESPONSE, Stored
from semcache_core.errors import PayloadError
from semcache_core.keys import canonical, make_prompt
from semcache_core.models import Entry, Hit, Reason

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
BLOCKS = st.one_of(
    st.builds(TextBlock, text=TEXT),
    st.builds(ThinkingBlock, content=TEXT, num_tokens=st.integers(0, 99)),
    st.builds(
        ToolCallBlock,
        tool_call_id=NAMES,
        tool_name=NAMES,
        tool_kwargs=st.dictionaries(NAMES, PLAIN, max_size=3) | TEXT,
    ),
    st.builds(ImageBlock, image=st.binary(min_size=1, max_size=30).map(lambda b: b"\x89PNG" + b)),
)
MESSAGES = st.builds(
    ChatMessage,
    role=st.just("assistant"),
    blocks=st.lists(BLOCKS, max_size=4),
    additional_kwargs=st.dictionaries(NAMES, PLAIN, max_size=2),
)
LOGPROBS = st.none() | st.lists(
    st.lists(
        st.builds(LogProb, token=TEXT, logprob=st.floats(-9, 0), bytes=st.just([1])), max_size=2
    ),
    max_size=2,
)
CHATS = st.builds(
    ChatResponse,
    message=MESSAGES,
    raw=st.just(object()),
    delta=st.none() | TEXT,
    logprobs=LOGPROBS,
    additional_kwargs=st.dictionaries(NAMES, PLAIN, max_size=2),
)
COMPLETIONS = st.builds(
    CompletionResponse, text=TEXT, additional_kwargs=st.dictionaries(NAMES, PLAIN, max_size=2)
)


@given(CHATS)
def test_chat_responses_come_back_equal(answer: ChatResponse) -> None:
    """What is stored is what comes back, in new objects each time."""
    data = CHAT.encode(answer)
    one, two = CHAT.decode(data), CHAT.decode(data)
    assert one == two == storable(answer)
    assert one.message is not two.message
    CHAT.text(data)


@given(COMPLETIONS)
def test_completions_come_back_equal(answer: CompletionResponse) -> None:
    """The same for completions."""
    assert COMPLETION.decode(COMPLETION.encode(answer)) == storable(answer)
    assert COMPLETION.text(COMPLETION.encode(answer)) == answer.text


def hit_of(answer: Any) -> Hit:
    """A hit with this answer."""
    prompt = make_prompt(kind="k", exact=None, query="q")
    return Hit(prompt, Entry("k", "s", "", b"", 0.0), 1.0, Reason.EXACT, 0.0, answer=answer)


@given(CHATS)
def test_replays_join_to_what_was_stored(answer: ChatResponse) -> None:
    """Chunks of a replay have deltas that sum to the text, and join to the answer itself."""
    stored = CHAT.decode(CHAT.encode(answer))
    chunks = list(answers.replayed_chat(hit_of(CHAT.decode(CHAT.encode(answer)))))
    text = answers.text_of(stored)
    assert "".join(chunk.delta or "" for chunk in chunks) == text
    assert answers.joined_chat(chunks).message == stored.message
    assert len(chunks) <= 33


@given(COMPLETIONS)
def test_replayed_completions_join(answer: CompletionResponse) -> None:
    """The same for completions."""
    chunks = list(answers.replayed_completion(hit_of(COMPLETION.decode(COMPLETION.encode(answer)))))
    assert chunks[-1].text == answers.joined_completion(chunks).text == answer.text


@given(st.binary(max_size=60))
def test_damaged_answers_are_payload_errors(data: bytes) -> None:
    """Whatever bytes are found, reading raises one kind of error."""
    for codec in (CHAT, COMPLETION, RESPONSE):
        with pytest.raises(PayloadError):
            codec.decode(data)


NODES = st.lists(
    st.builds(
        NodeWithScore,
        node=st.builds(TextNode, text=TEXT, metadata=st.dictionaries(NAMES, TEXT, max_size=2)),
        score=st.none() | st.floats(0, 1),
    ),
    max_size=3,
)


@given(TEXT, NODES, st.none() | st.dictionaries(NAMES, PLAIN, max_size=2))
def test_query_responses_come_back_equal(text: str, nodes: Any, metadata: Any) -> None:
    """Whole responses with their nodes."""
    stored = Stored(text, source_nodes=nodes, metadata=metadata)
    assert RESPONSE.decode(RESPONSE.encode(stored)) == stored
    assert RESPONSE.text(RESPONSE.encode(stored)) == text


@given(st.lists(MESSAGES, max_size=3))
def test_messages_have_one_form(messages: list[ChatMessage]) -> None:
    """Equal messages are equal after normalisation, whatever the ids of their tool calls."""
    renamed = [message.model_copy(deep=True) for message in messages]
    for message in renamed:
        for block in message.blocks:
            if isinstance(block, ToolCallBlock):
                block.tool_call_id = f"x{block.tool_call_id}"
    assert canonical(plain_messages(messages)) == canonical(plain_messages(renamed))
