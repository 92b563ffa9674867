"""`/v1/embeddings`: each text of a request is kept by itself, and found by itself.

Only what was not embedded before is sent upstream, in one request. Nothing here is found by
meaning: a vector is of one text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from semcache_core.errors import PayloadError
from semcache_core.keys import make_prompt
from semcache_core.models import Prompt
from semcache_core.server.plans import Place, parameters

KIND = "openai.embedding"
PATH = "/embeddings"
_MOST = 2048  # texts a request, as OpenAI has it


class Embedding:
    """A codec: one item of `data`, without its place in the list."""

    name = KIND

    def encode(self, answer: Mapping[str, Any]) -> bytes:
        return json.dumps({**answer, "index": 0}, separators=(",", ":")).encode()

    def decode(self, data: bytes) -> dict[str, Any]:
        """Raises `PayloadError`."""
        try:
            item = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise PayloadError(f"the stored embedding is not JSON: {error}") from error
        if not isinstance(item, dict) or "embedding" not in item:
            raise PayloadError("the stored answer is not an embedding")
        return item

    def text(self, data: bytes) -> str:
        """How long it is: the numbers say nothing to a person."""
        vector = self.decode(data)["embedding"]
        size = f"{len(vector)} numbers" if isinstance(vector, list) else f"{len(vector)} characters"
        return f"(an embedding: {size})"


EMBEDDING = Embedding()


def inputs(body: Mapping[str, Any]) -> list[Any]:
    """The texts (or lists of tokens) to embed; none for input in another form."""
    given = body.get("input")
    if isinstance(given, str) or _tokens(given):
        return [given]
    several = given if isinstance(given, list) and len(given) <= _MOST else []
    return several if all(isinstance(one, str) or _tokens(one) for one in several) else []


def _tokens(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(one, int) for one in given)


def prompts(body: Mapping[str, Any], place: Place) -> list[Prompt]:
    """One prompt a text; none for input in another form."""
    same = [place.exact, parameters(body, "input", place)]
    return [
        make_prompt(
            kind=KIND,
            exact=[same, _verbatim(one)],
            namespace=place.namespace,
            model=str(body.get("model") or ""),
            exact_only="an embedding is of one text",
        )
        for one in inputs(body)
    ]


def _verbatim(given: Any) -> Any:
    """A text as its bytes: two Unicode forms of one text have different vectors."""
    return given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given


def items_of(answer: Mapping[str, Any] | None, wanted: int) -> list[dict[str, Any]] | None:
    """A reply's embeddings in the order of the request; None unless there is one for each text."""
    data = answer.get("data") if answer is not None else None
    if not isinstance(data, list) or len(data) != wanted:
        return None
    if not all(isinstance(one, dict) and one.get("embedding") for one in data):
        return None
    ordered = sorted(data, key=lambda one: one.get("index", 0))
    numbered = [one.get("index", n) for n, one in enumerate(ordered)]
    return ordered if numbered == list(range(wanted)) else None


def together(items: Sequence[Mapping[str, Any]], model: str, tokens: int) -> dict[str, Any]:
    """An answer of these embeddings; `tokens` is what the upstream was paid for this time."""
    return {
        "object": "list",
        "data": [{**one, "index": n} for n, one in enumerate(items)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
