"""Stored answers of the usual form to LangChain's objects, in a tenth of the time of its `loads`.

`loads` works out anew at each call which classes it may make, and imports each by its name. Here
they are in a table. Whatever is not of the usual form is left to `loads`, which judges it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.load import loads
from langchain_core.load.serializable import Serializable

_ESCAPED = "__lc_escaped__"
"""Marks a mapping of the user's that looks like an object of LangChain's."""


class _Unusual(Exception):
    """To be left to `loads`."""


class Reviver:
    """Makes objects of these classes, and of no others."""

    def __init__(self, allowed: Sequence[type[Serializable]]) -> None:
        self._allowed = list(allowed)
        self._kinds = {tuple(kind.lc_id()): kind for kind in allowed}

    def __call__(self, text: str) -> Any:
        """What `text` describes; raises what `loads` raises."""
        try:
            return self._made(json.loads(text))
        except Exception:  # noqa: BLE001  # whatever is wrong with it, `loads` says so
            with suppress_langchain_beta_warning():
                return loads(text, allowed_objects=self._allowed)

    def _made(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._made(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "lc" in value:
            return self._object(value)
        if _ESCAPED in value:
            raise _Unusual
        return {key: self._made(item) for key, item in value.items()}

    def _object(self, value: dict[str, Any]) -> Any:
        kind, given = self._kinds.get(tuple(value["id"])), value["kwargs"]
        # A template's format is what `loads` has a rule for.
        if value["lc"] != 1 or value["type"] != "constructor" or "template_format" in given:
            raise _Unusual
        if kind is None:
            raise _Unusual
        return kind(**{key: self._made(item) for key, item in given.items()})
