"""Errors in the form in which OpenAI's clients expect them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A request that is answered with an error of this server's own."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """What is sent: `{"error": {message, type, param, code}}`."""
        return error_body(self.status, str(self), self.code, self.param)


def error_body(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI words it; `code` says precisely what, `type` roughly."""
    kind = {401: "authentication_error", 403: "permission_error"}.get(status)
    kind = kind or ("invalid_request_error" if status < 500 else "upstream_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
