"""The pieces of a streamed answer joined into the answer that the same request has without stream.

OpenAI's rule for deltas: texts are appended, lists are merged by `index`, objects field by field.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

# Repeated whole by some providers, never continued.
_WHOLE = {"role", "type", "id", "name", "object", "format", "finish_reason", "model", "index"}


def add(whole: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Continue `whole` by a delta; raises `ValueError` when a field changes its kind."""
    for name, value in delta.items():
        old = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif isinstance(value, list):
            _add_items(whole, name, value)
        elif old is None or name in _WHOLE:
            whole[name] = copy.deepcopy(value) if old is None or value != "" else old
        else:
            whole[name] = _continued(name, old, value)


def _continued(name: str, old: Any, value: Any) -> Any:
    if isinstance(old, str) and isinstance(value, str):
        return old + value
    if isinstance(old, dict) and isinstance(value, Mapping):
        add(old, value)
        return old
    if isinstance(old, int | float) and isinstance(value, int | float):
        return value
    raise ValueError(f"{name!r} was a {type(old).__name__} and goes on as {type(value).__name__}")


def _add_items(whole: dict[str, Any], name: str, items: list[Any]) -> None:
    old = whole.get(name)
    if old is None:
        old = whole[name] = []
    if not isinstance(old, list):
        raise ValueError(f"{name!r} was a {type(old).__name__} and goes on as a list")
    for item in items:
        begun = _begun(old, item)
        if begun is None:
            old.append(copy.deepcopy(item))
        else:
            add(begun, item)


def _begun(items: list[Any], item: Any) -> dict[str, Any] | None:
    """The item that this one continues. Some providers give every call the index 0."""
    if not isinstance(item, Mapping) or not isinstance(item.get("index"), int):
        return None
    for old in reversed(items):
        if isinstance(old, dict) and old.get("index") == item["index"]:
            another = item.get("id") and old.get("id") and item["id"] != old["id"]
            return None if another else old
    return None
