"""The real OpenAI and Anthropic LLMs of LlamaIndex over a transport of ours, and a plain LLM.

Only the provider's side is replaced, at the HTTP transport: a reply is what a function of the
request's body says, a text or a list of tool calls `(name, arguments)`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Union, get_origin

import anthropic
import httpx
import httpx2  # what Anthropic's client is made with
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.anthropic import utils as anthropic_utils
from llama_index.llms.openai import OpenAI
from pydantic import Field

Reply = str | list[tuple[str, dict[str, Any]]]
Script = Callable[[dict[str, Any]], Reply]


def last_text(body: dict[str, Any]) -> str:
    """The text of the last message of a request."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1].get("text", "")


# Since anthropic 2 these are unions of TypedDicts, and the newest release of the LLM class (0.12.3)
# still calls them to make one. A TypedDict makes a dict; everything else is the class's own.
for _name in ("MessageParam", "BetaMessageParam"):
    if get_origin(getattr(anthropic_utils, _name)) is Union:
        setattr(anthropic_utils, _name, dict)


class Provider:
    """Remembers the raw bytes of every request and answers by its script."""

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or (lambda body: f"Answer to: {last_text(body)[:60]}")
        self.requests: list[bytes] = []
        self.fails = False

    @property
    def calls(self) -> int:
        return len(self.requests)

    def _reply(self, request: Any) -> tuple[dict[str, Any], Reply]:
        if self.fails:
            raise httpx.ConnectError("no route")
        body = json.loads(request.content)
        self.requests.append(request.content)
        return body, self.script(body)

    def openai(self, **more: Any) -> OpenAI:
        """`llama_index.llms.openai.OpenAI` whose requests come here."""

        def handle(request: httpx.Request) -> httpx.Response:
            return _openai_response(*self._reply(request))

        transport = httpx.MockTransport(handle)
        defaults = {"model": "gpt-4o", "api_key": "sk-very-secret", "max_retries": 0}
        return OpenAI(
            **{**defaults, **more},
            http_client=httpx.Client(transport=transport),
            async_http_client=httpx.AsyncClient(transport=transport),
        )

    def anthropic(self, **more: Any) -> Anthropic:
        """`llama_index.llms.anthropic.Anthropic` whose requests come here."""

        def handle(request: Any) -> Any:
            reply = _anthropic_response(*self._reply(request))
            return httpx2.Response(200, content=reply.content, headers=dict(reply.headers))

        transport = httpx2.MockTransport(handle)
        given = {"model": "claude-opus-5", "api_key": "sk-very-secret", **more}
        llm = Anthropic(**given)
        llm._client = anthropic.Anthropic(
            api_key="sk", http_client=httpx2.Client(transport=transport), max_retries=0
        )
        llm._aclient = anthropic.AsyncAnthropic(
            api_key="sk", http_client=httpx2.AsyncClient(transport=transport), max_retries=0
        )
        return llm


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:]


def _openai_response(body: dict[str, Any], reply: Reply) -> httpx.Response:
    if body.get("stream"):
        return _sse("".join(f"data: {e}\n\n" for e in _openai_events(body, reply)))
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if isinstance(reply, str):
        message["content"] = reply
    else:
        message["tool_calls"] = _calls(body, reply)
    choice = {"index": 0, "message": message, "finish_reason": _openai_end(reply)}
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return httpx.Response(
        200,
        json=_openai_head(body, "chat.completion") | {"choices": [choice], "usage": usage},
    )


def _openai_end(reply: Reply) -> str:
    return "stop" if isinstance(reply, str) else "tool_calls"


def _openai_head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "c1", "object": kind, "created": 1, "model": body["model"]}


def _calls(body: dict[str, Any], reply: Any) -> list[dict[str, Any]]:
    seed = hashlib.sha256(json.dumps(body).encode()).hexdigest()[:6]
    return [
        {
            "index": number,
            "id": f"call_{seed}_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(reply)
    ]


def _openai_events(body: dict[str, Any], reply: Reply) -> Iterator[str]:
    deltas: list[dict[str, Any]]
    if isinstance(reply, str):
        deltas = [{"content": word} for word in _words(reply)]
    else:
        deltas = [{"tool_calls": [call]} for call in _calls(body, reply)]
    head = _openai_head(body, "chat.completion.chunk")
    for delta in deltas:
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
        yield json.dumps(head | {"choices": [choice]})
    end = {"index": 0, "delta": {}, "finish_reason": _openai_end(reply)}
    yield json.dumps(head | {"choices": [end]})
    yield "[DONE]"


def _anthropic_response(body: dict[str, Any], reply: Reply) -> httpx.Response:
    if body.get("stream"):
        return _sse(
            "".join(
                f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                for event in _anthropic_events(body, reply)
            )
        )
    message = _anthropic_head(body) | {
        "content": _anthropic_blocks(reply),
        "stop_reason": _anthropic_end(reply),
    }
    return httpx.Response(200, json=message)


def _anthropic_head(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 5},
    }


def _anthropic_end(reply: Reply) -> str:
    return "end_turn" if isinstance(reply, str) else "tool_use"


def _anthropic_blocks(reply: Reply) -> list[dict[str, Any]]:
    if isinstance(reply, str):
        return [{"type": "text", "text": reply}]
    return [
        {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": arguments}
        for n, (name, arguments) in enumerate(reply)
    ]


def _anthropic_events(body: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": _anthropic_head(body)}
    for number, block in enumerate(_anthropic_blocks(reply)):
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        yield {"type": "content_block_start", "index": number, "content_block": empty}
        for delta in _anthropic_deltas(block):
            yield {"type": "content_block_delta", "index": number, "delta": delta}
        yield {"type": "content_block_stop", "index": number}
    end = {"stop_reason": _anthropic_end(reply), "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def _anthropic_deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    if block["type"] == "text":
        return [{"type": "text_delta", "text": word} for word in _words(block["text"])]
    return [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]


def _sse(text: str) -> httpx.Response:
    return httpx.Response(200, content=text.encode(), headers={"content-type": "text/event-stream"})


class PlainLLM(CustomLLM):
    """A completion model as users write one; it keeps books in its own fields."""

    model: str = "plain-1"
    temperature: float = 0.0
    calls: int = 0
    prompts: list[str] = Field(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model)

    def _answer(self, prompt: str) -> str:
        self.calls += 1
        self.prompts.append(prompt)
        return f"Plain answer to {prompt.rsplit(maxsplit=1)[-1]}"

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self._answer(prompt))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        def chunks() -> Iterator[CompletionResponse]:
            text = ""
            for word in _words(self._answer(prompt)):
                text += word
                yield CompletionResponse(text=text, delta=word)

        return chunks()


class LetterEmbedding(BaseEmbedding):
    """A deterministic embedding for retrieval: how often each letter occurs."""

    def _vector(self, text: str) -> list[float]:
        lowered = text.lower()
        counts = [float(lowered.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]
        length = sum(count * count for count in counts) ** 0.5 or 1.0
        return [count / length for count in counts]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)
