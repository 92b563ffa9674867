"""What LangChain does with a model, it does with a twin: each feature cold, then warm."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_models import METADATA, USAGE, AsyncStreaming, Counting
from langgraph.func import entrypoint, task
from pydantic import BaseModel

from langchain_semcache import cached, no_cache

ASKED = "what is your refund policy"
deprecated = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.deprecation.LangChainDeprecationWarning"
)


@pytest.fixture
def model():
    return AsyncStreaming()


@pytest.fixture
def twin(model, cache):
    return cached(model, cache)


@pytest.mark.parametrize("seam", ["twin", "global"])
async def test_usage_is_counted_once(seam, model, cache):
    """By LangChain's own counter, whichever way a hit is asked for."""
    asked = cached(model, cache) if seam == "twin" else model
    set_llm_cache(cache if seam == "global" else None)
    try:
        with get_usage_metadata_callback() as counter:
            asked.invoke(ASKED)
            asked.invoke(ASKED)
            await asked.ainvoke(ASKED)
            asked.batch([ASKED, ASKED])
            if seam == "twin":
                list(asked.stream(ASKED))
    finally:
        set_llm_cache(None)
    counted = counter.usage_metadata["counting"]
    assert {name: counted[name] for name in USAGE} == USAGE
    assert model.calls == 1


async def test_batches_in_order_of_completion(twin, model):
    """Equal items share a call, and a second batch makes none."""
    items = ["one apple", "two pears", "one apple"]
    cold = sorted((n, answer.content) for n, answer in twin.batch_as_completed(items))
    warm = sorted([(n, a.content) async for n, a in twin.abatch_as_completed(items)])
    assert warm == cold
    assert model.calls == 2


def test_batches_that_return_exceptions(cache):
    """The failing item's alone; the others are stored."""

    def reply(number, messages):
        if "bad" in messages[-1].text:
            raise ValueError("bad")
        return AIMessage(f"to {messages[-1].text}")

    model = Counting(reply=reply)
    twin = cached(model, cache)
    for _ in range(2):
        found = twin.batch(["one apple", "bad luck", "two pears"], return_exceptions=True)
        assert [type(one) for one in found] == [AIMessage, ValueError, AIMessage]
    assert model.calls == 4


@deprecated
async def test_logs_of_streams(twin, model):
    """`astream_log`: the same final output."""
    outputs = []
    for _ in range(2):
        patches = [p async for p in (RunnablePassthrough() | twin).astream_log(ASKED)]
        whole = patches[0]
        for patch in patches[1:]:
            whole += patch
        outputs.append(whole.state["final_output"].content)
    assert outputs[0] == outputs[1]
    assert model.calls == 1


@deprecated
@pytest.mark.parametrize("ways", [("invoke", "invoke"), ("stream", "invoke"), ("invoke", "stream")])
def test_message_histories(ways, twin, model):
    """Another session with the same words costs nothing, and no message replaces another."""
    stores: dict[str, Any] = {}
    chain = ChatPromptTemplate([MessagesPlaceholder("past"), ("human", "{said}")]) | twin
    talk = RunnableWithMessageHistory(
        chain,
        lambda session: stores.setdefault(session, InMemoryChatMessageHistory()),
        input_messages_key="said",
        history_messages_key="past",
    )
    for number, way in enumerate(ways):
        config = {"configurable": {"session_id": str(number)}}
        for said in ("my name is ann", "what is my name", "thanks"):
            answer = getattr(talk, way)({"said": said}, config)
            assert way == "invoke" or list(answer)
    assert model.calls == 3
    texts = [[message.text for message in store.messages] for store in stores.values()]
    assert texts[0] == texts[1]
    ids = [m.id for store in stores.values() for m in store.messages if isinstance(m, AIMessage)]
    assert len(set(ids)) == len(ids) == 6


class Refund(BaseModel):
    """How long it takes."""

    days: int


def test_structured_output_with_its_raw_message(cache):
    """The raw message of a hit says so, and is parsed as a fresh one is."""
    call = {"name": "Refund", "args": {"days": 14}, "id": "x"}
    model = Counting(reply=lambda number, messages: AIMessage("", tool_calls=[call]))
    structured = cached(model, cache).with_structured_output(Refund, include_raw=True)
    cold, warm = structured.invoke(ASKED), structured.invoke(ASKED)
    assert cold["parsed"] == warm["parsed"] == Refund(days=14)
    assert (cold["parsing_error"], warm["parsing_error"]) == (None, None)
    assert warm["raw"].response_metadata["semcache"]["hit"] == "exact"
    assert model.calls == 1


@pytest.mark.parametrize("seam", ["twin", "global"])
@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_reasoning_and_output_versions(version, seam, cache):
    """Reasoning blocks and standard content come back as they came, streamed, too."""
    blocks = [{"type": "reasoning", "reasoning": "They ask of refunds."}]
    blocks.append({"type": "text", "text": "Within two weeks."})

    def reply(number, messages):
        return AIMessage(blocks, usage_metadata=dict(USAGE), response_metadata=dict(METADATA))

    model = Counting(output_version=version, reply=reply)
    asked = cached(model, cache) if seam == "twin" else model
    set_llm_cache(cache if seam == "global" else None)
    try:
        cold, warm, later = asked.invoke(ASKED), asked.invoke(ASKED), await asked.ainvoke(ASKED)
    finally:
        set_llm_cache(None)
    assert cold.content == warm.content == later.content
    assert cold.content_blocks == warm.content_blocks
    given = [m.response_metadata.get("output_version") for m in (cold, warm)]
    assert given[0] == given[1]
    assert model.calls == 1


def test_fallbacks_and_alternatives(cache):
    """Each model has answers of its own; what fails is not stored."""

    class Broken(Counting):
        def _generate(self, *args, **kwargs):
            raise ConnectionError("down")

    spare = Counting(model="spare")
    thrifty = cached(Broken(model="large"), cache).with_fallbacks([cached(spare, cache)])
    assert thrifty.invoke(ASKED).content == thrifty.invoke(ASKED).content
    assert spare.calls == 1
    one, two = Counting(model="one"), Counting(model="two")
    either = cached(one, cache).configurable_alternatives(
        ConfigurableField(id="llm"), default_key="one", two=cached(two, cache)
    )
    for chosen in ("one", "two", "one", "two"):
        either.with_config(configurable={"llm": chosen}).invoke(ASKED)
    assert (one.calls, two.calls) == (1, 1)


def test_the_functional_api_of_langgraph(twin, model):
    """Tasks at once share a call, stream modes show hits, and switches hold inside."""

    @task
    def ask(text):
        return twin.invoke(text).content

    @entrypoint()
    def flow(text):
        return [found.result() for found in [ask(text) for _ in range(4)]]

    assert len(set(flow.invoke(ASKED))) == 1
    assert model.calls == 1
    chunks = [chunk for chunk, _ in flow.stream(ASKED, stream_mode="messages")]
    assert {type(chunk) for chunk in chunks} == {AIMessageChunk}
    assert model.calls == 1
    with no_cache():
        flow.invoke(ASKED)
    assert model.calls == 5
    flow.invoke(ASKED, {"tags": ["semcache:no_cache"]})
    assert model.calls == 9


class Order(BaseCallbackHandler):
    """Remembers what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("start")

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.told.append(token)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("end")


async def test_callbacks_are_told_the_same(twin):
    """Start, the tokens of a stream, end: in this order, fresh or not, on the loop or not."""
    fresh, streamed, awaited, whole = Order(), Order(), Order(), Order()
    list(twin.stream(ASKED, {"callbacks": [fresh]}))
    list(twin.stream(ASKED, {"callbacks": [streamed]}))
    async for _ in twin.astream(ASKED, {"callbacks": [awaited]}):
        pass
    twin.invoke(ASKED, {"callbacks": [whole]})
    for order in (streamed, awaited):
        assert (order.told[0], order.told[-1]) == ("start", "end")
        assert "".join(order.told) == "".join(fresh.told)
    assert whole.told == ["start", "end"]


async def test_what_goes_in_may_be_changed_and_transformed(twin, model):
    """A changed message is another prompt; chunks of input are joined as LangChain joins them."""
    message = HumanMessage(ASKED)
    twin.invoke([message])
    message.content = "where is my parcel"
    assert twin.invoke([message]).content.endswith("parcel")
    assert model.calls == 2
    parts = [chunk.text for chunk in twin.transform(iter(["what is your ", "refund policy"]))]
    assert "".join(parts) == twin.invoke(ASKED).content
    assert model.calls == 2


async def test_chunks_join_to_one_message(twin):
    """With an id of the run, no tokens spent, and an end that can be seen."""
    twin.invoke(ASKED)
    chunks = [chunk async for chunk in twin.astream(ASKED)]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert {chunk.id for chunk in chunks} == {whole.id}
    assert whole.id.startswith("lc_run-")
    assert (whole.usage_metadata["total_tokens"], whole.chunk_position) == (0, "last")
