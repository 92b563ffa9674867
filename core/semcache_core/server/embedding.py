"""A request for embeddings, of which the known ones come from the cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from semcache_core.asking import Asked, Call
from semcache_core.cache import SemanticCache
from semcache_core.errors import OfflineMiss
from semcache_core.models import Prompt
from semcache_core.server.asker import never, not_cached
from semcache_core.server.endpoints import EMBEDDING, embeddings
from semcache_core.server.incoming import Incoming
from semcache_core.server.passing import as_response, passed
from semcache_core.server.pieces import total_tokens
from semcache_core.server.replies import Refused, Reply, whole
from semcache_core.server.told import told
from semcache_core.server.upstream import Upstream
from semcache_core.together import Calls

Item = dict[str, Any]


@dataclass(slots=True)
class EmbeddingAsker:
    """What is needed to answer it, and what the upstream said."""

    cache: SemanticCache
    upstream: Upstream
    incoming: Incoming
    body: Mapping[str, Any]
    model: str = ""
    tokens: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def whole(self, prompts: Sequence[Prompt]) -> Response:
        """All embeddings, in the order of the request."""
        calls: Calls[Item] = Calls(never, self._ask, self._alone)
        try:
            asked = await self.cache.aask_all(prompts, calls, self.incoming.control)
        except Refused as refused:
            return await self._refused(refused.reply)
        except OfflineMiss as miss:
            raise not_cached(miss) from miss
        found = embeddings.together(
            [one.answer for one in asked], self.model or str(self.body.get("model")), self.tokens
        )
        return as_response(whole(found), self.headers | _told(asked))

    async def _refused(self, reply: Reply) -> Response:
        """An error as it is; what is no error and no answer either may be of a part only."""
        headers = told(None, "the upstream's answer is not one embedding a text")
        if reply.status == 200:
            return await passed(self.upstream, self.incoming.out, headers)
        return as_response(reply, {"x-semcache": "miss"})

    async def _ask(self, numbers: list[int]) -> list[Item]:
        """The upstream's answer for some of the texts; raises `Refused` when it has none."""
        given = embeddings.inputs(self.body)
        body = {**self.body, "input": [given[number] for number in numbers]}
        out = replace(self.incoming.out, content=json.dumps(body).encode())
        reply = await self.upstream.ask(out)
        items = embeddings.items_of(reply.answer, len(numbers))
        if items is None:
            raise Refused(reply)
        self._note(reply)
        return items

    def _note(self, reply: Reply) -> None:
        answer = reply.answer or {}
        self.model = str(answer.get("model") or self.model)
        self.tokens += total_tokens(answer)
        self.headers |= reply.headers

    def _alone(self, number: int) -> Call[Item]:
        async def ask() -> Item:
            return (await self._ask([number]))[0]

        # Its share of the tokens is not told; what one text costs is little.
        return Call(EMBEDDING, never, ask, ttl=self.incoming.wishes.ttl)


def _told(asked: Sequence[Asked[Item]]) -> dict[str, str]:
    """A hit is a request of which nothing was sent upstream."""
    hits = [one for one in asked if one.hit is not None]
    headers = told(asked[0].outcome)
    if len(asked) > 1:
        known = f"{len(hits)} of {len(asked)} embeddings are known"
        mark = "hit" if len(hits) == len(asked) else "miss"
        headers = {"x-semcache": mark, "x-semcache-reason": known}
        headers |= {"x-semcache-kind": "exact"} if mark == "hit" else {}
    return headers
