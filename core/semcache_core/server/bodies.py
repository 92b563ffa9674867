"""Requests' bodies: read up to a limit, and parsed without guessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from semcache_core.server.failures import ApiError


async def read(request: Request, limit: int) -> bytes:
    """The body; raises `ApiError` (413) once it is longer than `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_long(limit)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_long(limit)
        parts.append(part)
    return b"".join(parts)


def parsed(content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object in a body; raises `ApiError` (400, 415)."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        # A page of another site may send a browser's user here with any type but this one.
        raise ApiError(
            415,
            f"The Content-Type is {kind or 'missing'}; send 'Content-Type: application/json'.",
            code="unsupported_media_type",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "Send the body uncompressed.", code="unsupported_encoding")
    try:
        value = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise ApiError(400, "The body is not a JSON object.", code="invalid_json")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a field given twice the upstream might take the other one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def _too_long(limit: int) -> ApiError:
    return ApiError(
        413, f"The body is longer than {limit} bytes (max_body).", code="request_too_large"
    )
