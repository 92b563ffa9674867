r"""Server-sent events as bytes: cut apart without changing them, read, and written.

An event is passed around as the block that it came in, without the blank line behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

END = b"\n\n"
DONE = b"data: [DONE]"
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINES = re.compile(rb"\r\n|\n|\r")


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The blocks of a stream that arrives in arbitrary parts."""
    waiting = b""
    async for part in parts:
        *whole, waiting = _END.split(_joined(waiting, part))
        for block in whole:
            if block:
                yield block
    if waiting.strip():
        yield waiting.strip(b"\r\n")


def _joined(waiting: bytes, part: bytes) -> bytes:
    return waiting + part if waiting else part


def data_of(event: bytes) -> bytes | None:
    """The event's data; None for one that holds none (a comment that keeps the line open)."""
    lines = [line[5:] for line in _LINES.split(event) if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines) if lines else None


def read(event: bytes) -> dict[str, Any] | None:
    """The JSON object in an event; None for a comment or `[DONE]`. Raises `ValueError`."""
    data = data_of(event)
    if data is None or data.strip() in (b"", b"[DONE]"):
        return None
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("an event is not a JSON object")
    return value


def write(value: dict[str, Any], name: str = "") -> bytes:
    """An event with this object; OpenAI names those of some of its streams."""
    data = b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return f"event: {name}\n".encode() + data if name else data


def is_done(event: bytes) -> bool:
    """Whether this is the end mark of a stream of completions."""
    return event.startswith(b"data:") and data_of(event) == b"[DONE]"
