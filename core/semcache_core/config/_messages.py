"""What pydantic found wrong, in sentences: where, what was given, what to give instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from semcache_core.config._reading import Place
from semcache_core.config._secrets import has_reference

_WANTED = {
    "string_type": "give a text, in quotes if it looks like something else",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "finite_number": "give a finite number",
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_parsing_size": "give a smaller number",
    "int_from_float": "give a whole number",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "tuple_type": "give a list",
    "too_short": "give at least one",
    "model_type": "give a mapping of settings",
    "model_attributes_type": "give a mapping of settings",
    "dict_type": "give a mapping of settings",
    "mapping_type": "give a mapping of settings",
    "none_required": "leave it out",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """The nearest known name, else all of them, as the end of a sentence."""
    names = list(known)
    close = get_close_matches(name, names, 1, 0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(names))}"


def sentences(
    error: ValidationError,
    data: Mapping[str, Any],
    models: Mapping[str, type[BaseModel]],
    name: Callable[[Place], str],
) -> list[str]:
    """One for each finding. `models`: those that a kind or a key stands for, for suggestions."""
    found: dict[Place, str] = {}
    for one in error.errors(include_url=False, include_input=False):
        place = _place(one["loc"], data, one["type"])
        said = f"{name(place)}: {_said(one, place, data, models)}"
        found.setdefault(place, said)  # of several alternatives the first is the main one
    return list(found.values())


def _place(loc: Place, data: Any, kind: str) -> Place:
    """Where in the text: pydantic also names the alternatives that it tried."""
    place: list[str | int] = []
    for part in loc:
        if _holds(data, part):
            data = data[part]
            place.append(part)
    if kind == "missing" and loc:
        place.append(loc[-1])
    return tuple(place)


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, list | tuple):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, Mapping) and part in data


def _said(
    one: Mapping[str, Any], place: Place, data: Any, models: Mapping[str, type[BaseModel]]
) -> str:
    kind, context = one["type"], one.get("ctx", {})
    if kind == "extra_forbidden":
        owner = next((models[str(p)] for p in reversed(one["loc"][:-1]) if str(p) in models), None)
        fields = (owner or models[""]).model_fields
        return f"there is no such setting; {suggestion(str(place[-1]), fields)}"
    if kind == "missing":
        return "this setting is needed here"
    given = _given(place, data, one_of_kinds=kind == "union_tag_invalid")
    return f"{given}{_wanted(kind, context, one['msg'], place, data)}"


def _given(place: Place, data: Any, *, one_of_kinds: bool) -> str:
    for part in place:
        data = data[part]
    if one_of_kinds and isinstance(data, Mapping):
        return f"the kind {_short(data.get('kind'))} was given; "
    return f"{_short(data)} was given; "


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(repr, list(value)[:5]))}" if value else "{}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wanted(kind: str, context: Mapping[str, Any], message: str, place: Place, data: Any) -> str:
    for part in place:
        data = data[part]
    if kind in ("literal_error", "union_tag_invalid"):
        known = str(context.get("expected") or context.get("expected_tags"))
        names = [name.strip(" '\"") for name in known.replace(" or ", ", ").split(",")]
        given = data.get("kind") if isinstance(data, Mapping) else data
        near = get_close_matches(given, names, 1, 0.6) if isinstance(given, str) else []
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return f"give one of {', '.join(names)}{hint}"
    if kind == "union_tag_not_found":
        return "its 'kind' is missing"
    if kind == "value_error":
        return str(context.get("error", message))
    if kind in _WANTED:
        return _WANTED[kind]
    words = message.removeprefix("Input should be ").removeprefix("Value should have ")
    secret = has_reference(data)
    return "give another value" if secret else f"it should be {words[:1].lower()}{words[1:]}"
