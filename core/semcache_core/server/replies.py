"""What the upstream answers, and how an answer is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from semcache_core.errors import PayloadError
from semcache_core.server.endpoint import Endpoint
from semcache_core.server.failures import error_body


@dataclass(frozen=True)
class Reply:
    """An answer of the upstream, or of the cache in its place."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that are passed on."""

    @cached_property
    def answer(self) -> dict[str, Any] | None:
        """The content as a JSON object; None when it is none, or an error."""
        if self.status != 200:
            return None
        try:
            value = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Refused(Exception):
    """The upstream's reply is no answer to what was asked; it is passed on as it is."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply


def failed(status: int, message: str, code: str) -> Reply:
    """The reply in place of one that the upstream did not give."""
    content = json.dumps(error_body(status, message, code)).encode()
    return Reply(status, content, {"content-type": "application/json"})


def whole(answer: Mapping[str, Any]) -> Reply:
    """An answer that was joined or stored, as the upstream would have sent it."""
    content = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
    reply = Reply(200, content, {"content-type": "application/json"})
    vars(reply)["answer"] = dict(answer)  # where `cached_property` looks: no need to parse again
    return reply


@dataclass(frozen=True, slots=True)
class Replies:
    """A codec: of a reply its JSON is kept, and none of its headers."""

    endpoint: Endpoint

    @property
    def name(self) -> str:
        return self.endpoint.kind

    def encode(self, answer: Reply) -> bytes:
        """Raises `PayloadError` for a reply that is no JSON object."""
        if answer.answer is None:
            raise PayloadError("the reply is not a JSON object")
        return answer.content

    def decode(self, data: bytes) -> Reply:
        """A new answer each time; raises `PayloadError`."""
        return whole(self.endpoint.fresh(self._stored(data)))

    def text(self, data: bytes) -> str:
        """What the answer says, for people and judges."""
        return self.endpoint.text(self._stored(data))

    def _stored(self, data: bytes) -> dict[str, Any]:
        answer = Reply(200, data).answer
        try:
            if answer is not None and not self.endpoint.unfit(answer):
                return answer
        except (AttributeError, TypeError, KeyError) as error:  # not in the form of an answer
            raise PayloadError(f"the stored answer is malformed: {error!r}") from error
        raise PayloadError("the stored answer is not one of this endpoint's")
