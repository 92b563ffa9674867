"""Streams, events and graphs look the same to their consumers, fresh or from the cache."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_models import AsyncStreaming, Streaming, agent_reply
from langgraph.graph import START, MessagesState, StateGraph

from langchain_semcache import SemanticCache, Turns, cached

QUESTION = "tell me something about the sea"


def mark(chunks):
    return chunks[-1].response_metadata.get("semcache")


def test_a_hit_streams_the_answer_in_chunks(cache):
    """Their sum is the answer, with usage on the last; the model is not asked."""
    model = Streaming()
    twin = cached(model, cache)
    cold, warm = list(twin.stream(QUESTION)), list(twin.stream(QUESTION))
    assert model.calls == 1
    assert len(warm) > 2
    assert sum(warm[1:], warm[0]).content == sum(cold[1:], cold[0]).content
    assert [chunk.usage_metadata is None for chunk in warm] == [True] * (len(warm) - 1) + [False]
    assert mark(warm)["hit"] == "exact"
    assert {chunk.id for chunk in warm} != {chunk.id for chunk in cold}
    assert len({chunk.id for chunk in warm}) == 1


async def test_v2_events_of_a_hit(cache):
    """At least a start, content and an end, and no call of the model."""
    model = AsyncStreaming()
    twin = cached(model, cache)
    kinds = []
    for _ in range(2):
        events = [event async for event in twin.astream_events(QUESTION, version="v2")]
        kinds.append({event["event"] for event in events})
        ended = events[-1]["data"]["output"]
        assert ended.content == f"1: {QUESTION}"
    assert (
        kinds[0] == kinds[1] == {"on_chat_model_start", "on_chat_model_stream", "on_chat_model_end"}
    )
    assert model.calls == 1


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_v3_events_of_a_hit(cache):
    """The whole life of a message: start, blocks, finish."""
    model = AsyncStreaming()
    twin = cached(model, cache)
    cold = [event["event"] for event in twin.stream_events(QUESTION, version="v3")]
    warm = [event["event"] for event in twin.stream_events(QUESTION, version="v3")]
    late = [event["event"] async for event in await twin.astream_events(QUESTION, version="v3")]
    assert list(dict.fromkeys(warm)) == list(dict.fromkeys(cold))
    assert list(dict.fromkeys(late)) == list(dict.fromkeys(cold))
    assert warm[0] == "message-start"
    assert warm[-1] == "message-finish"
    assert model.calls == 1


class Native(Streaming):
    """Produces LangChain's protocol events itself."""

    def _stream_chat_model_events(self, messages, *, stop=None, run_manager=None, **kwargs):
        from langchain_core.language_models._compat_bridge import message_to_events

        yield from message_to_events(self.answer(messages, kwargs), message_id="native")

    async def _astream_chat_model_events(self, messages, **kwargs):
        for event in self._stream_chat_model_events(messages, **kwargs):
            yield event


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_a_models_own_events_pass_through_the_twin(cache):
    """They are stored as the message they amount to, which `invoke` then serves."""
    model = Native()
    twin = cached(model, cache)
    cold = [event["event"] for event in twin.stream_events(QUESTION, version="v3")]
    warm = [event["event"] for event in twin.stream_events(QUESTION, version="v3")]
    late = [event async for event in await twin.astream_events(QUESTION, version="v3")]
    assert warm == cold
    assert late[-1]["event"] == "message-finish"
    assert twin.invoke(QUESTION).text == f"1: {QUESTION}"
    assert model.calls == 1
    late = [event async for event in await twin.astream_events("another", version="v3")]
    assert late[0]["event"] == "message-start"
    assert model.calls == 2
    assert twin.invoke("another").text == "2: another"
    unstored = twin.model_copy(update={"cache": False})
    assert list(unstored.stream_events(QUESTION, version="v3"))
    assert [event async for event in await unstored.astream_events(QUESTION, version="v3")]
    assert model.calls == 4


class Tokens(BaseCallbackHandler):
    """Collects the tokens it is told."""

    def __init__(self):
        self.told = []

    def on_llm_new_token(self, token, **kwargs):
        self.told.append(token)


def test_tokens_are_announced_once_each(cache):
    """Fresh or not, and to the run that reads them."""
    twin = cached(Streaming(), cache)
    for _ in range(2):
        tokens = Tokens()
        list(twin.stream(QUESTION, {"callbacks": [tokens]}))
        assert "".join(tokens.told) == f"1: {QUESTION}"


@pytest.mark.parametrize("sync", [True, False])
async def test_langgraph_messages_mode(sync, cache):
    """A node that invokes the twin streams chunks on a hit as on a miss."""
    model = AsyncStreaming()
    twin = cached(model, cache)

    def node(state):
        return {"messages": [twin.invoke(state["messages"])]}

    async def anode(state):
        return {"messages": [await twin.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("n", node if sync else anode)
    graph = graph.add_edge(START, "n").compile()
    runs = []
    for _ in range(2):
        state = {"messages": QUESTION}
        if sync:
            parts = list(graph.stream(state, stream_mode="messages"))
        else:
            parts = [part async for part in graph.astream(state, stream_mode="messages")]
        runs.append([message for message, _ in parts])
    cold, warm = runs
    assert model.calls == 1
    assert all(isinstance(chunk, AIMessageChunk) for chunk in warm)
    assert len(warm) > 2
    assert "".join(c.content for c in warm) == "".join(c.content for c in cold)


def test_tool_call_chunks_of_a_hit(cache):
    """Chunks that join to the same calls."""
    twin = cached(Streaming(reply=agent_reply), cache, turns=Turns(tool_calls="exact"))
    cold = list(twin.stream(QUESTION))
    warm = list(twin.stream(QUESTION))
    joined = sum(warm[1:], warm[0])
    assert mark(warm)["hit"] == "exact"
    assert joined.tool_calls[0]["args"] == sum(cold[1:], cold[0]).tool_calls[0]["args"]
    assert any(chunk.tool_call_chunks for chunk in warm)


# -- abandoned streams ---------------------------------------------------------------------------


def test_an_abandoned_stream_stores_nothing(cache):
    """Left after two chunks, and left by an error of the consumer."""
    twin = cached(Streaming(), cache)
    list(islice(twin.stream(QUESTION), 2))
    stream = twin.stream(QUESTION)
    next(stream)
    stream.close()
    assert cache.stats().entries == 0


async def test_an_abandoned_async_stream_stores_nothing(cache):
    """Closed after a chunk, or its task cancelled between two."""
    twin = cached(AsyncStreaming(delay=0.02), cache)
    stream = twin.astream(QUESTION)
    await anext(stream)
    await stream.aclose()

    async def consume():
        return [chunk async for chunk in twin.astream(QUESTION)]

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cache.aflush()
    assert cache.stats().entries == 0


class Breaking(Streaming):
    """Fails in the middle of its stream."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield from islice(super()._stream(messages), 2)
        raise ConnectionError("provider")


def test_a_stream_that_fails_stores_nothing(cache):
    """The provider's error is the caller's."""
    twin = cached(Breaking(), cache)
    with pytest.raises(ConnectionError):
        list(twin.stream(QUESTION))
    assert cache.stats().entries == 0


async def test_streams_of_one_prompt_at_once_share_a_call(cache):
    """Each reader gets all chunks."""
    model = AsyncStreaming(delay=0.01)
    twin = cached(model, cache)

    async def read():
        return "".join([chunk.content async for chunk in twin.astream(QUESTION)])

    assert set(await asyncio.gather(*(read() for _ in range(8)))) == {f"1: {QUESTION}"}
    assert model.calls == 1


@pytest.mark.parametrize("content", ["plain", [{"type": "text", "text": "a b", "index": 0}]])
def test_content_keeps_its_form(content, cache):
    """Text stays text, blocks stay blocks, whichever way they are asked for."""
    twin = cached(Streaming(reply=lambda n, m: AIMessage(content)), cache)
    twin.invoke(QUESTION)
    warm = list(twin.stream(QUESTION))
    assert sum(warm[1:], warm[0]).content == content
    assert len(twin.log) == 1


@pytest.mark.parametrize("parsed", [False, True], ids=["model", "parser"])
def test_a_stream_that_is_broken_off(parsed: bool, minilm):
    """Nothing is stored, unless a later step of the chain has LangChain read the rest."""
    with SemanticCache(embedding=minilm) as cache:
        chain = ChatPromptTemplate([("human", "{question}")]) | cached(Streaming(), cache)
        chain = chain | StrOutputParser() if parsed else chain
        stream = chain.stream({"question": "How do I reset my password?"})
        next(stream)
        stream.close()
        assert cache.stats().stored == (1 if parsed else 0)
