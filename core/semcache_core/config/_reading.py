"""A configuration's text as plain values, each with the line it stands on.

Plain values are all that can come of it: no tags, no objects, and no anchors, whose references
can blow a small file up to any size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from semcache_core.errors import ConfigError

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""

_DEEPEST = 50
_MOST = 1_000_000
"""Bytes; a configuration of that size is another file."""


@dataclass(frozen=True)
class Text:
    """What a text says, and where: "cache.yaml:3"."""

    data: dict[str, Any]
    where: dict[Place, str] = field(default_factory=dict)


def read_file(path: Path) -> Text:
    """A YAML or JSON file. Raises `ConfigError`, which names the line."""
    try:
        if path.is_file() and path.stat().st_size > _MOST:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes are too many for settings")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path}: this is not a text in UTF-8; give a YAML or JSON file"
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{str(path)!r}: the configuration cannot be read: {why}") from error
    if path.suffix == ".json":
        text = _checked_json(text, str(path))
    return read_text(text, str(path))


def read_text(text: str, name: str) -> Text:
    """As `read_file`, for a text that is called `name` in errors."""
    try:
        _refuse_what_grows(text, name)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Text({})
        where = {place: f"{name}:{line}" for place, line in _lines(node, (), name)}
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(_complaint(error, name)) from None
    except RecursionError:
        raise ConfigError(f"{name}: the settings are nested too deeply") from None
    except ValueError as error:  # a date that does not exist
        raise ConfigError(f"{name}: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: a mapping of settings is needed, and this is {_called(data)}")
    return Text(data, where)


def _checked_json(text: str, name: str) -> str:
    """JSON is YAML but for tabs between its values, and YAML is more than JSON."""
    try:
        json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{name}: the settings are nested too deeply") from None
    return text.replace("\t", " ")


def _refuse_what_grows(text: str, name: str) -> None:
    """Anchors, and nesting: PyYAML takes minutes for a file of nothing but brackets."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ConfigError(f"{name}: the settings are nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            line = f":{event.start_mark.line + 1}" if event.start_mark else ""
            raise ConfigError(f"{name}{line}: anchors and references are not supported here")


def _lines(node: yaml.Node, place: Place, name: str) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for number, one in enumerate(node.value):
            yield from _lines(one, (*place, number), name)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise ConfigError(f"{name}:{line}: a key is a text; put it in quotes")
            if key.value in seen:
                raise ConfigError(f"{name}:{line}: {key.value!r} stands here a second time")
            seen.add(key.value)
            inside = (*place, key.value)
            yield from _lines(value, inside, name)
            yield inside, line


def _complaint(error: yaml.YAMLError, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or str(error)
    return f"{name}{line}: this is not YAML that holds plain values: {problem}"


def _called(data: Any) -> str:
    return {"list": "a list", "str": "a text"}.get(type(data).__name__, repr(data))
