"""A query engine's whole response to bytes and back, with its source nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc

from llamaindex_semcache.answers import pieces
from llamaindex_semcache.payload import plain, revived
from semcache_core.errors import PayloadError

AnyResponse = Response | PydanticResponse | StreamingResponse | AsyncStreamingResponse
_EMPTY = "Empty Response"  # what LlamaIndex says when nothing was retrieved


@dataclass(frozen=True, slots=True)
class Stored:
    """A response as it is kept: what was said, a text or an object, and what it is based on."""

    said: Any
    streamed: bool = False
    source_nodes: list[NodeWithScore] = field(default_factory=list)
    metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, response: AnyResponse) -> Stored:
        """Of a whole response; of a stream with the text that it brought."""
        streamed = isinstance(response, StreamingResponse | AsyncStreamingResponse)
        said = response.response_txt if streamed else response.response  # type: ignore[union-attr]  # one of two pairs
        nodes = [_lean(node) for node in response.source_nodes]
        return cls(said, streamed, nodes, response.metadata)

    def response(self, *, asynchronous: bool) -> AnyResponse:
        """The same kind of response as the engine gave."""
        if isinstance(self.said, str) and self.streamed:
            if asynchronous:
                return AsyncStreamingResponse(_atokens(self.said), self.source_nodes, self.metadata)
            return StreamingResponse(_tokens(self.said), self.source_nodes, self.metadata)
        kind = Response if isinstance(self.said, str) else PydanticResponse
        return kind(self.said, self.source_nodes, self.metadata)

    @property
    def unfit(self) -> str:
        """Why this must not be stored; empty if it may."""
        empty = self.said is None or (isinstance(self.said, str) and not self.said.strip())
        return "empty answer" if empty or self.said == _EMPTY else ""


class StoredCodec:
    """`Stored` as JSON; nodes in the form that LlamaIndex's own docstores have."""

    name = "llamaindex.response"

    def encode(self, answer: Stored) -> bytes:
        """Raises `PayloadError` for what does not come back equal."""
        nodes = [[doc_to_json(node.node), node.score] for node in answer.source_nodes]
        try:
            data = orjson.dumps(
                [plain(answer.said), answer.streamed, nodes, plain(answer.metadata)],
                option=orjson.OPT_NON_STR_KEYS,
            )
        except TypeError as error:
            raise PayloadError(f"the response is not JSON: {error}") from error
        if self.decode(data) != answer:
            raise PayloadError("the response does not survive being written and read")
        return data

    def decode(self, data: bytes) -> Stored:
        """Fresh objects; raises `PayloadError`."""
        try:
            said, streamed, nodes, metadata = orjson.loads(data)
            found = [NodeWithScore(node=json_to_doc(node), score=score) for node, score in nodes]
            return Stored(revived(said), streamed, found, revived(metadata))
        except (ValueError, TypeError, KeyError) as error:
            raise PayloadError(f"the stored response cannot be read: {error}") from error

    def from_text(self, text: str) -> Stored:
        """A response that says just this, without source nodes."""
        return Stored(text)

    def text(self, data: bytes) -> str:
        """What was said; an object as JSON."""
        said = orjson.loads(data)[0]
        return said if isinstance(said, str) else orjson.dumps(said).decode()


RESPONSE = StoredCodec()


def _lean(node: NodeWithScore) -> NodeWithScore:
    """Without its embedding, which is of no use to a reader and larger than the text."""
    inner: BaseNode = node.node.model_copy(update={"embedding": None})
    return NodeWithScore(node=inner, score=node.score)


def whole(stored: Stored, text: str) -> Stored:
    """A stream's response with the text that it brought."""
    return replace(stored, said=text)


def _tokens(text: str) -> Generator[str, None, None]:
    yield from pieces(text)


async def _atokens(text: str) -> AsyncGenerator[str, None]:
    for piece in pieces(text):
        yield piece
