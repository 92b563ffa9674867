"""Other clients through the server: LangChain's and LlamaIndex's models, and curl."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import Any

import httpx
import pytest
from chat_upstream import Upstream
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.llms.openai import OpenAI as LlamaOpenAI
from pydantic import SecretStr

from semcache_core.turns import Turns

from .conftest import Serve, Served

QUESTION = "How do I reset my password?"
REWORDED = "How can I reset my password?"
CURL = shutil.which("curl")


def model(served: Served, **how: Any) -> ChatOpenAI:
    """LangChain's own model of OpenAI, pointed at the server."""
    key = SecretStr("a-key")
    return ChatOpenAI(model="gpt-4o", base_url=served.url, api_key=key, max_retries=0, **how)


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: rain"


def test_langchains_model_needs_nothing_but_the_base_url(
    served: Served, provider: Upstream
) -> None:
    """Whole, streamed and asynchronous, with a system prompt that must match."""
    llm = model(served, include_response_headers=True)
    system = SystemMessage("Be brief.")
    cold = llm.invoke([system, HumanMessage(QUESTION)])
    warm = llm.invoke([system, HumanMessage(REWORDED)])
    assert warm.content == cold.content
    assert warm.response_metadata["headers"]["x-semcache"] == "hit"
    assert "".join(str(one.content) for one in llm.stream([system, HumanMessage(QUESTION)])) == (
        cold.content
    )

    async def later() -> Any:
        async with httpx.AsyncClient() as http:  # its own is closed when its loop is long gone
            asked = model(served, http_async_client=http)
            return (await asked.ainvoke([system, HumanMessage(QUESTION)])).content

    assert asyncio.run(later()) == cold.content
    assert provider.calls == 1
    assert llm.invoke(QUESTION).response_metadata["headers"]["x-semcache"] == "miss"


def test_langchains_streams_have_their_usage(served: Served) -> None:
    """Cold and warm: LangChain asks for it, and adds it to the last chunk."""
    llm = model(served, stream_usage=True)
    for _ in range(2):
        chunks = list(llm.stream(QUESTION))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        assert whole.usage_metadata is not None
        assert whole.usage_metadata["total_tokens"] == 30


def test_langchains_tools(serve: Serve, provider: Upstream) -> None:
    """Bound tools: the same calls come back, whole and as a stream, with ids of their own."""
    llm = model(serve(turns=Turns(tool_calls="exact"))).bind_tools([weather])
    cold = llm.invoke("What is the weather?")
    warm = llm.invoke("What is the weather?")
    streamed: Any = None
    for chunk in llm.stream("What is the weather?"):
        streamed = chunk if streamed is None else streamed + chunk
    asked = [[(c["name"], c["args"]) for c in one.tool_calls] for one in (cold, warm, streamed)]
    assert asked[0] == asked[1] == asked[2] != []
    assert cold.tool_calls[0]["id"] != warm.tool_calls[0]["id"]
    assert provider.calls == 1


def test_langchains_embeddings(served: Served, provider: Upstream) -> None:
    """Documents that were embedded are not embedded again."""
    key = SecretStr("a-key")
    made = OpenAIEmbeddings(
        model="small", base_url=served.url, api_key=key, check_embedding_ctx_length=False
    )
    first = made.embed_documents(["one", "three"])
    assert made.embed_documents(["three", "one"]) == first[::-1]
    assert provider.calls == 1


def test_llamaindexs_model(served: Served, provider: Upstream) -> None:
    """Its OpenAI class, whole and streamed."""
    with httpx.Client() as http:
        _ask_llamaindexs_model(served, http)
    assert provider.calls == 1


def _ask_llamaindexs_model(served: Served, http: httpx.Client) -> None:
    llm = LlamaOpenAI(
        model="gpt-4o", api_base=served.url, api_key="a-key", max_retries=0, http_client=http
    )
    cold, warm = llm.complete(QUESTION), llm.complete(REWORDED)
    assert str(cold) == str(warm)
    assert "".join(one.delta or "" for one in llm.stream_complete(QUESTION)) == str(cold)


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl(served: Served) -> None:
    """Headers and events as a person sees them."""

    def curl(*arguments: str) -> str:
        command = [str(CURL), "-sS", "-i", "-N", f"{served.url}/chat/completions", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    body: dict[str, Any] = {"model": "gpt-4o"}
    body["messages"] = [{"role": "user", "content": QUESTION}]
    json_type = ("-H", "Content-Type: application/json", "-H", "Authorization: Bearer a-key")
    assert "x-semcache: miss" in curl(*json_type, "-d", json.dumps(body))
    warm = curl(*json_type, "-d", json.dumps({**body, "stream": True}))
    head, _, events = warm.replace("\r\n", "\n").partition("\n\n")
    assert "x-semcache: hit" in head
    assert "content-type: text/event-stream" in head
    assert events.endswith("data: [DONE]\n\n")
    assert all(one.startswith("data: ") for one in events.strip().split("\n\n"))
