"""What can be read off the string by which LangChain identifies a model and its parameters.

The string itself goes into the scope as it is, as a digest only: it can hold secrets. What it hides
is the schema of a class: it shows `<class '__main__.Answer'>`, and two classes may bear that name.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import FrameType
from typing import Any

from semcache_core.errors import UncacheableError

_CLASS = re.compile(r"<class '([\w.<>]+)'>")
_MODEL = re.compile(r"""["'](?:model_name|model|model_id)["'](?::|,)\s*["']([^"']+)["']""")
_TEMPERATURE = re.compile(r"""["']temperature["'](?::|,)\s*(-?\d+(?:\.\d+)?)""")
_ADDRESS = re.compile(r"<[^<>]{1,200} at 0x[0-9a-fA-F]+>")
_KIND = re.compile(r"""["']_type["'],\s*["']([^"']+)["']""")


@dataclass(frozen=True, slots=True)
class Params:
    """What a model string says."""

    model: str = ""
    temperature: float | None = None
    tools: bool = False
    """Tools are offered."""
    forced_tool: bool = False
    """One tool is offered and demanded: structured output by another name."""
    classes: tuple[str, ...] = ()
    """Classes that the string names without their schemas."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of the call, with None for a class; empty if the string hides them."""


@lru_cache(maxsize=1024)
def read(llm_string: str) -> Params:
    """Read a model string; what is not found keeps its default.

    Raises `UncacheableError` for one that shows an object by its address: the next process, or the
    next object at that address, would be taken for another or for the same.
    """
    if (address := _ADDRESS.search(llm_string)) is not None:
        raise UncacheableError(
            f"the model is called with an object of no stable form: {address[0]}"
        )
    call = _call_kwargs(llm_string)
    tools = call.get("tools") or call.get("functions") or ()
    offered = bool(tools) or "'tools', [{" in llm_string
    return Params(
        model=_first(_MODEL, llm_string) or _first(_KIND, llm_string),
        temperature=_temperature(llm_string, call),
        tools=offered,
        forced_tool=len(tools) == 1 and _forced(call.get("tool_choice")),
        classes=tuple(sorted(set(_CLASS.findall(llm_string)))),
        call=call,
    )


def _temperature(llm_string: str, call: Mapping[str, Any]) -> float | None:
    """The call's temperature goes before the model's."""
    given = call.get("temperature")
    if isinstance(given, int | float):
        return float(given)
    found = _TEMPERATURE.search(llm_string)
    return float(found[1]) if found else None


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _call_kwargs(llm_string: str) -> dict[str, Any]:
    """The keyword arguments of the call: LangChain writes them as a list of pairs at the end."""
    text = llm_string.rpartition("---")[2]
    try:
        return dict(ast.literal_eval(_CLASS.sub("None", text)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {}


def _forced(choice: Any) -> bool:
    return bool(choice) and choice not in ("auto", "none", {"type": "auto"}, {"type": "none"})


def schemas(params: Params, llm_string: str, kwargs: Mapping[str, Any] | None = None) -> list[Any]:
    """The schemas of the classes named in the string, which `kwargs`, if known, holds.

    Raises `UncacheableError` when a name belongs to several classes and nobody says to which.
    """
    given = list(dict.fromkeys(_types(kwargs))) if kwargs and params.classes else []
    return [_schema(name, llm_string, given) for name in params.classes]


def _schema(name: str, llm_string: str, given: list[type]) -> Any:
    found = _named(name, given) or _named(name, _models())
    if len(found) > 1:
        found = [kind for kind in _in_the_call(llm_string) if kind in found]
    if len(found) != 1:
        raise UncacheableError(f"cannot tell which class {name!r} the model is to answer with")
    described = getattr(found[0], "model_json_schema", None)
    return described() if callable(described) else found[0]


def _named(name: str, kinds: Iterable[type]) -> list[type]:
    return [kind for kind in kinds if f"{kind.__module__}.{kind.__qualname__}" == name]


def _types(value: Any) -> Iterator[type]:
    """The classes anywhere in a call's arguments."""
    if isinstance(value, type):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _types(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _types(item)


def _models() -> Iterator[Any]:
    """All Pydantic models alive; whoever binds one as a schema keeps it alive."""
    from pydantic import BaseModel

    waiting, seen = [BaseModel], set()
    while waiting:
        for kind in type.__subclasses__(waiting.pop()):
            if kind not in seen:
                seen.add(kind)
                waiting.append(kind)
                yield kind


def _in_the_call(llm_string: str) -> list[Any]:
    """The classes among the arguments of the LangChain call that is looking this string up.

    `BaseCache` is handed the string alone. Only when several living classes share a name are the
    callers' frames asked; `cached(model)` and the middleware see the arguments themselves.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        scope = frame.f_locals
        if scope.get("llm_string") == llm_string and isinstance(scope.get("kwargs"), dict):
            return [value for value in scope["kwargs"].values() if isinstance(value, type)]
        frame = frame.f_back
    return []
