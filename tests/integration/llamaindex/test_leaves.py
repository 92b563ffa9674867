"""The eight methods that end at the provider, with the real OpenAI and Anthropic classes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llamaindex_models import PlainLLM, Provider

from llamaindex_semcache import SemanticCache, Turns, cached, no_cache, read_only, refresh

QUESTION = [ChatMessage("How do I cancel my order?")]
REWORDED = [ChatMessage("How can I cancel my order?")]
CHAT = ["chat", "achat", "stream_chat", "astream_chat"]
COMPLETE = ["complete", "acomplete", "stream_complete", "astream_complete"]
PROVIDERS = pytest.mark.parametrize("name", ["openai", "anthropic"])


async def said(llm: Any, method: str, prompt: Any, **kwargs: Any) -> str:
    """The text of one answer, however it is asked for."""
    answer = getattr(llm, method)(prompt, **kwargs)
    if method.startswith("a"):
        answer = await answer
    if "stream" not in method:
        return getattr(answer, "text", None) or answer.message.content
    if method.startswith("a"):
        return "".join([chunk.delta or "" async for chunk in answer])
    return "".join([chunk.delta or "" for chunk in answer])


@PROVIDERS
@pytest.mark.parametrize("first", CHAT)
async def test_chat_serves_every_way_of_chatting(name: str, first: str, cache: Any) -> None:
    """An entry written by one way of chatting serves all four, with the same text."""
    provider = Provider()
    llm = cached(getattr(provider, name)(), cache)
    expected = await said(llm, first, QUESTION)
    assert expected == "Answer to: How do I cancel my order?"
    for method in CHAT:
        assert await said(llm, method, QUESTION) == expected
    assert provider.calls == 1


@PROVIDERS
@pytest.mark.parametrize("first", COMPLETE)
async def test_completion_serves_every_way(name: str, first: str, cache: Any) -> None:
    """The same for completions."""
    provider = Provider()
    llm = cached(getattr(provider, name)(), cache)
    expected = await said(llm, first, "Name a river.")
    for method in COMPLETE:
        assert await said(llm, method, "Name a river.") == expected
    assert provider.calls == 1


@PROVIDERS
@pytest.mark.parametrize("method", CHAT)
async def test_requests_are_those_of_the_bare_class(name: str, method: str, cache: Any) -> None:
    """What goes over the wire on a miss is byte for byte what the bare class sends."""
    bare, behind = Provider(), Provider()
    kwargs = {"max_tokens": 77}
    await said(getattr(bare, name)(), method, QUESTION, **kwargs)
    await said(cached(getattr(behind, name)(), cache), method, QUESTION, **kwargs)
    assert behind.requests == bare.requests


@PROVIDERS
@pytest.mark.parametrize("method", CHAT)
async def test_a_paraphrase_hits(name: str, method: str, cache: Any) -> None:
    """A reworded question is answered from the cache, in every way."""
    provider = Provider()
    llm = cached(getattr(provider, name)(), cache)
    first = await said(llm, "chat", QUESTION)
    assert await said(llm, method, REWORDED) == first
    assert provider.calls == 1
    assert cache.stats().semantic_hits == 1


async def test_settings_of_the_model_must_match(cache: Any, provider: Provider) -> None:
    """Another temperature is another scope, set on the twin or the original; a key is not."""
    bare = provider.openai(temperature=0.1)
    llm = cached(bare, cache)
    llm.chat(QUESTION)
    bare.temperature = 0.9
    llm.chat(QUESTION)
    assert provider.calls == 2
    llm.temperature = 0.1
    llm.api_key = "sk-rotated"
    llm.chat(QUESTION)
    assert provider.calls == 2
    llm.chat(QUESTION, temperature=0.5)
    assert provider.calls == 3


async def test_a_served_answer_says_so(cache: Any, provider: Provider) -> None:
    """The mark says how it was found; what it cost is in the mark and no longer counted."""
    llm = cached(provider.openai(), cache)
    fresh = llm.chat(QUESTION)
    assert fresh.additional_kwargs["total_tokens"] == 12
    served = llm.chat(REWORDED)
    mark = served.additional_kwargs["semcache"]
    assert (mark["hit"], mark["usage"]["total_tokens"]) == ("semantic", 12)
    assert "total_tokens" not in served.additional_kwargs
    assert cache.stats().tokens_saved == 12
    cache.report_wrong(mark)
    assert "semcache" not in llm.chat(REWORDED).additional_kwargs


async def test_answers_are_fresh_objects(cache: Any, provider: Provider) -> None:
    """A caller that changes a response changes neither the entry nor the next one."""
    llm = cached(provider.openai(), cache)
    llm.chat(QUESTION).message.blocks.clear()
    llm.chat(QUESTION).message.blocks.clear()
    for chunk in llm.stream_chat(QUESTION):
        chunk.message.blocks.clear()
    assert llm.chat(QUESTION).message.content.startswith("Answer to")


async def test_streamed_chunks_are_deltas_and_the_text_so_far(cache: Any) -> None:
    """A replay brings deltas whose sum is the text, the text so far, and all blocks at the end."""
    llm = cached(Provider().openai(), cache)
    llm.chat(QUESTION)
    chunks = list(llm.stream_chat(QUESTION))
    assert len(chunks) > 3
    for number, chunk in enumerate(chunks):
        assert chunk.message.content == "".join(c.delta or "" for c in chunks[: number + 1])
    assert "semcache" in chunks[-1].additional_kwargs


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_abandoned_streams_store_nothing(name: str, cache: Any) -> None:
    """Leaving a stream early, in either way, leaves no entry."""
    llm = cached(getattr(Provider(), name)(), cache)
    stream = llm.stream_chat(QUESTION)
    next(stream)
    stream.close()
    stream = await llm.astream_chat(QUESTION)
    await anext(stream)
    await stream.aclose()
    assert cache.stats().entries == 0


async def test_identical_streams_share_a_call(cache: Any, provider: Provider) -> None:
    """Interleaved in one thread, or from many tasks, one request goes out."""
    llm = cached(provider.openai(), cache)
    pairs = list(zip(llm.stream_chat(QUESTION), llm.stream_chat(QUESTION), strict=True))
    assert all(one.delta == two.delta for one, two in pairs)
    other = [ChatMessage("Where is my parcel?")]
    texts = await asyncio.gather(*(said(llm, "astream_chat", other) for _ in range(5)))
    assert len(set(texts)) == 1
    assert provider.calls == 2


async def test_the_rate_limiter_fires_on_misses_only(cache: Any, provider: Provider) -> None:
    """A hit does not spend the budget of requests."""

    class Counting(TokenBucketRateLimiter):
        acquired: int = 0

        def acquire(self, *args: Any, **kwargs: Any) -> None:
            object.__setattr__(self, "acquired", self.acquired + 1)

    limiter = Counting(requests_per_minute=1000)
    llm = cached(provider.openai(rate_limiter=limiter), cache)
    if llm.rate_limiter is None:  # the constructor of some releases does not take it
        llm.rate_limiter = limiter
    for _ in range(3):
        llm.chat(QUESTION)
    assert limiter.acquired == 1


async def test_failures_of_the_provider_reach_the_caller(cache: Any, provider: Provider) -> None:
    """An outage is the caller's to see, and leaves nothing behind."""
    llm = cached(provider.openai(), cache)
    provider.fails = True
    for method in CHAT:
        with pytest.raises(Exception, match="Connection"):
            await said(llm, method, QUESTION)
    provider.fails = False
    assert await said(llm, "chat", QUESTION)
    assert cache.stats().entries == 1


async def test_switches(cache: Any, provider: Provider) -> None:
    """no_cache, read_only and refresh hold for every way of asking, and for late consumers."""
    llm = cached(provider.openai(), cache)
    with no_cache():
        stream = llm.stream_chat(QUESTION)
    with read_only():
        list(stream)
        llm.chat(QUESTION)
    assert (provider.calls, cache.stats().entries) == (2, 0)
    llm.chat(QUESTION)
    with refresh():
        await llm.achat(QUESTION)
    assert (provider.calls, cache.stats().entries) == (4, 1)


@PROVIDERS
async def test_tool_calls_are_cached_if_asked_for(name: str, cache: Any) -> None:
    """Off by default; "exact" replays the very call, and never for another wording."""
    tools = {
        "openai": [{"type": "function", "function": {"name": "pay", "parameters": {}}}],
        "anthropic": [{"name": "pay", "input_schema": {"type": "object"}}],
    }[name]
    provider = Provider(lambda body: [("pay", {"to": "Bob", "amount": 100})])
    plain = cached(getattr(provider, name)(), cache)
    plain.chat(QUESTION, tools=tools)
    plain.chat(QUESTION, tools=tools)
    assert provider.calls == 2
    llm = cached(getattr(provider, name)(), cache, turns=Turns(tool_calls="exact"))
    fresh = llm.chat(QUESTION, tools=tools)
    served = [llm.chat(QUESTION, tools=tools), list(llm.stream_chat(QUESTION, tools=tools))[-1]]
    wanted = llm.get_tool_calls_from_response(fresh)
    assert [llm.get_tool_calls_from_response(one) for one in served] == [wanted, wanted]
    assert provider.calls == 3
    llm.chat(REWORDED, tools=tools)
    assert provider.calls == 4


async def test_streamed_tool_calls_serve_chat(cache: Any) -> None:
    """A call that was streamed is replayed by `chat`, arguments complete."""
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {}}}]
    provider = Provider(lambda body: [("pay", {"to": "Bob", "amount": 100})])
    llm = cached(provider.openai(), cache, turns=Turns(tool_calls="exact"))
    list(llm.stream_chat(QUESTION, tools=tools))
    [call] = llm.get_tool_calls_from_response(llm.chat(QUESTION, tools=tools))
    assert (call.tool_kwargs, provider.calls) == ({"to": "Bob", "amount": 100}, 1)


async def test_images_count_by_content(cache: Any, provider: Provider, tmp_path: Any) -> None:
    """The same question about the same picture hits, about another one it misses."""

    def ask(pixels: bytes, path: Any = None) -> Any:
        block = ImageBlock(path=path) if path else ImageBlock(image=pixels)
        return [ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), block])]

    png = b"\x89PNG\r\n\x1a\n"
    llm = cached(provider.openai(), cache)
    for pixels in (png + b"cat", png + b"cat", png + b"dog"):
        llm.chat(ask(pixels))
    assert provider.calls == 2
    file = tmp_path / "picture.png"
    for pixels in (png + b"one", png + b"one", png + b"two"):
        file.write_bytes(pixels)
        llm.chat(ask(b"", file))
    assert provider.calls == 4


async def test_earlier_turns_match_exactly_or_by_meaning(cache: Any, provider: Provider) -> None:
    """By default another history is another question; conversation="sequence" compares turns."""

    def talk(first: str) -> list[ChatMessage]:
        said_before = ChatMessage(role="assistant", content="Of course.")
        return [ChatMessage(first), said_before, ChatMessage("And for how much?")]

    strict = cached(provider.openai(), cache)
    strict.chat(talk("Can I send a parcel to Spain?"))
    strict.chat(talk("Could I send a parcel to Spain?"))
    assert provider.calls == 2
    loose = cached(provider.openai(), cache, conversation="sequence")
    loose.chat(talk("Can I send a parcel to Spain?"))
    prompts = cache.stats().lookups
    loose.chat(talk("Can I send a parcel to Spain?"))
    assert (provider.calls, cache.stats().lookups) == (3, prompts + 1)


async def test_long_and_templated_texts_are_exact_only(cache: Any, provider: Provider) -> None:
    """A completion of more than a question is never found by meaning, unless a hook names it."""
    llm = cached(provider.openai(), cache)
    text = "Context:\nOrders ship on Monday.\nQuestion: {}"
    llm.complete(text.format("When do orders ship?"))
    llm.complete(text.format("When do the orders ship?"))
    assert provider.calls == 2
    hooked = cached(provider.openai(), cache, question=lambda t: t.rpartition("Question: ")[2])
    hooked.complete(text.format("When do orders ship?"))
    hooked.complete(text.format("When do the orders ship?"))
    assert provider.calls == 3


async def test_books_that_a_model_keeps_do_not_spoil_the_key(cache: Any) -> None:
    """A counter in the model's own fields is no setting; its temperature is."""
    bare = PlainLLM()
    llm = cached(bare, cache)
    for method in COMPLETE:
        await said(llm, method, "Name a river.")
    assert bare.calls == 1
    again = cached(bare, cache)
    again.complete("Name a river.")
    assert bare.calls == 1
    bare.temperature = 1.0
    again.complete("Name a river.")
    assert bare.calls == 2


async def test_a_custom_llm_is_not_cached_twice(cache: Any) -> None:
    """`CustomLLM.chat` calls `complete` on the original: one call stores one entry."""
    llm = cached(PlainLLM(), cache)
    llm.chat(QUESTION)
    llm.chat(QUESTION)
    assert (llm.calls, cache.stats().entries) == (1, 1)


@pytest.mark.parametrize(
    ("reply", "reason"), [("", "empty answer"), ("   ", "empty answer")], ids=["empty", "blank"]
)
async def test_empty_answers_are_not_stored(reply: str, reason: str, cache: Any) -> None:
    """What is of no use the second time is not kept."""
    provider = Provider(lambda body: reply)
    llm = cached(provider.openai(), cache)
    for method in CHAT:
        await said(llm, method, QUESTION)
    assert (provider.calls, cache.stats().entries) == (4, 0)
    assert cache.stats().not_stored == {reason: 4}


async def test_thinking_survives(cache: Any) -> None:
    """A thinking block comes back, also from a stream, with its delta for those who show it."""
    from llama_index.core.llms import MockLLM  # its reply is made below

    class Thinker(MockLLM):
        def chat(self, messages: Any, **kwargs: Any) -> Any:
            blocks = [ThinkingBlock(content="Hm."), TextBlock(text="Forty-two, I think.")]
            message = ChatMessage(role="assistant", blocks=blocks)
            from llama_index.core.llms import ChatResponse

            return ChatResponse(message=message)

    llm = cached(Thinker(), cache)
    fresh = llm.chat(QUESTION)
    served = llm.chat(QUESTION)
    assert served.message == fresh.message
    chunks = list(llm.stream_chat(QUESTION))
    assert chunks[0].additional_kwargs["thinking_delta"] == "Hm."
    assert chunks[-1].message.blocks[0] == ThinkingBlock(content="Hm.")


async def test_provider_subclasses_of_responses_survive(cache: Any, provider: Provider) -> None:
    """Anthropic's own response class comes back as itself."""
    llm = cached(provider.anthropic(), cache)
    fresh, served = llm.chat(QUESTION), llm.chat(QUESTION)
    assert type(served) is type(fresh)
    assert served.citations == fresh.citations
    assert all(type(chunk) is type(fresh) for chunk in llm.stream_chat(QUESTION))


async def test_unreadable_entries_are_misses(cache: Any, provider: Provider) -> None:
    """An entry whose response class is not loaded here is asked for anew, and counted."""
    from llamaindex_semcache import payload

    llm = cached(provider.openai(), cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "_name", lambda kind: "nowhere:Gone")
        patch.setattr(payload.ResponseCodec, "decode", lambda self, data: payload.storable(fresh))
        fresh = provider.openai().chat(QUESTION)
        llm.chat(QUESTION)
    assert cache.stats().entries == 1
    assert llm.chat(QUESTION).message.content.startswith("Answer to")
    assert cache.stats().misses["unreadable entry"] == 1


def test_tool_call_blocks_are_kept_apart_from_text() -> None:
    """A call without text replays as one chunk that holds it."""
    from llamaindex_semcache.answers import pieces

    assert pieces("") == [""]
    assert "".join(pieces("a b  c\n d")) == "a b  c\n d"
    assert ToolCallBlock(tool_name="f", tool_kwargs={}).tool_name == "f"


def test_a_cache_of_the_core_serves_too(minilm: Any, provider: Provider) -> None:
    """Any semcache cache will do, not only this package's."""
    from semcache_core.cache import SemanticCache as Core

    with Core(embedder=minilm) as core:
        llm = cached(provider.openai(), core)
        llm.chat(QUESTION)
        llm.chat(REWORDED)
    assert provider.calls == 1
    assert issubclass(SemanticCache, Core)
