"""Answers of the core itself (any JSON value), and how another package's codec is found by name.

A package announces its codecs as entry points of the group `semcache.codecs`, so that the command
line can show the answers of every installed adapter while the core knows none of them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import orjson

from semcache_core.envelope import unseal
from semcache_core.errors import PayloadError
from semcache_core.protocols import Codec

GROUP = "semcache.codecs"


class JsonCodec:
    """Any JSON value: a string, a number, a list, a dict."""

    name = "json"

    def encode(self, answer: Any) -> bytes:
        """Raises `PayloadError` for what JSON would change or cannot hold."""
        try:
            data = json.dumps(answer, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise PayloadError(f"the answer is not a JSON value: {error}") from error
        if self.decode(data) != answer:
            raise PayloadError("the answer changes on its way through JSON (tuples, int keys)")
        return data

    def decode(self, data: bytes) -> Any:
        """Raises `PayloadError`."""
        try:
            return _loaded(data)
        except (ValueError, RecursionError) as error:
            raise PayloadError(f"the stored answer is not JSON: {error}") from error

    def from_text(self, text: str) -> Any:
        """The answer that a text is."""
        return text

    def text(self, data: bytes) -> str:
        """A string as it is, anything else as JSON."""
        answer = self.decode(data)
        return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _loaded(data: bytes) -> Any:
    if data.startswith(b'"'):  # a text, as nearly all answers are: in a fifth of the time
        try:
            return orjson.loads(data)
        except ValueError:
            pass  # lone surrogates, which `json` takes
    return json.loads(data.decode())  # as bytes it would guess the encoding first


JSON = JsonCodec()


@cache
def codec_named(name: str) -> Codec[Any]:
    """The codec of that name, from this package or an installed one; raises `PayloadError`."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            codec: Codec[Any] = point.load()
            return codec
    raise PayloadError(f"no installed package reads answers of kind {name!r}")


def text_of(payload: bytes) -> str:
    """The answer in an envelope as plain text; raises `PayloadError`."""
    opened = unseal(payload)
    return codec_named(opened.codec).text(opened.data)
