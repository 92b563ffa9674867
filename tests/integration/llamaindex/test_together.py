"""One cache, and one file, for LangChain and LlamaIndex at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration
from langchain_models import Counting
from llama_index.core.llms import ChatMessage, ChatResponse
from llamaindex_models import Provider

import langchain_semcache
import llamaindex_semcache
from semcache_core.codecs import codec_named, text_of

QUESTION = "How do I cancel my order?"


def test_neither_is_handed_the_others_payload(provider: Provider, minilm: Any) -> None:
    """The same question through both: each finds its own answer, of its own kind."""
    with langchain_semcache.SemanticCache(embedding=minilm) as cache:
        chain = langchain_semcache.cached(Counting(), cache)
        llm = llamaindex_semcache.cached(provider.openai(), cache)
        for _ in range(2):
            assert isinstance(chain.invoke([HumanMessage(QUESTION)]), AIMessage)
            assert isinstance(llm.chat([ChatMessage(QUESTION)]), ChatResponse)
        assert (provider.calls, cache.stats().entries) == (1, 2)
        assert cache.stats().errors == {}
        assert cache.lookup(QUESTION, "some model") is None
        cache.update(QUESTION, "some model", [ChatGeneration(message=AIMessage("Yes."))])
        assert llm.complete(QUESTION).text.startswith("Answer to")


def test_one_file_for_both_at_once(provider: Provider, minilm: Any, tmp_path: Path) -> None:
    """Two cache objects on one path, used from two threads; both survive a reopening."""

    def use_langchain(cache: Any) -> None:
        model = langchain_semcache.cached(Counting(), cache)
        for n in range(20):
            model.invoke([HumanMessage(f"{QUESTION} Number {n}")])

    def use_llamaindex(cache: Any) -> None:
        llm = llamaindex_semcache.cached(provider.openai(), cache)
        for n in range(20):
            llm.chat([ChatMessage(f"{QUESTION} Number {n}")])

    with (
        langchain_semcache.SemanticCache(tmp_path, embedding=minilm) as one,
        llamaindex_semcache.SemanticCache(tmp_path, embed_model=minilm) as two,
    ):
        work = [
            threading.Thread(target=use_langchain, args=(one,)),
            threading.Thread(target=use_llamaindex, args=(two,)),
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert one.stats().errors == two.stats().errors == {}
    spent = provider.calls
    with llamaindex_semcache.SemanticCache(tmp_path, embed_model=minilm) as again:
        use_llamaindex(again)
        assert again.stats().entries == 40
    assert provider.calls == spent == 20


def test_the_command_line_can_read_them() -> None:
    """Each kind of answer is announced, so that the core can show its text."""
    from semcache_core.envelope import seal

    answer = ChatResponse(message=ChatMessage(role="assistant", content="Under Orders."))
    codec = codec_named("llamaindex.chat")
    assert text_of(seal(codec.name, codec.encode(answer))) == "Under Orders."
    names = ["llamaindex.completion", "llamaindex.object", "llamaindex.response"]
    assert [codec_named(name).name for name in names] == names
