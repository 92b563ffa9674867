"""What can be read off the string by which LangChain identifies a model and its parameters.

The string itself goes into the scope as it is, as a digest only: it can hold secrets. What it hides
is the schema of a class: it shows `<class '__main__.Answer'>`, and two classes may bear that name.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import Any

from semcache_core.errors import UncacheableError

_CLASS = re.compile(r"<class '([\w.<>]+)'>")
_MODEL = re.compile(r"""["'](?:model_name|model|model_id)["'](?::|,)\s*["']([^"']+)["']""")
_TEMPERATURE = re.compile(r"""["']temperature["'](?::|,)\s*(-?\d+(?:\.\d+)?)""")
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


@lru_cache(maxsize=1024)
def read(llm_string: str) -> Params:
    """Read a model string; what is not found keeps its default."""
    temperature = _TEMPERATURE.search(llm_string)
    call = _call_kwargs(llm_string)
    tools = call.get("tools") or call.get("functions") or ()
    offered = bool(tools) or "'tools', [{" in llm_string
    return Params(
        model=_first(_MODEL, llm_string) or _first(_KIND, llm_string),
        temperature=float(temperature[1]) if temperature else None,
        tools=offered,
        forced_tool=len(tools) == 1 and _forced(call.get("tool_choice")),
        classes=tuple(sorted(set(_CLASS.findall(llm_string)))),
    )


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


def schemas(params: Params, llm_string: str) -> list[Any]:
    """The schemas of the classes named in the string.

    Raises `UncacheableError` when a name belongs to several classes and nobody says to which.
    """
    return [_schema(name, llm_string) for name in params.classes]


def _schema(name: str, llm_string: str) -> Any:
    found = [kind for kind in _models() if f"{kind.__module__}.{kind.__qualname__}" == name]
    if len(found) > 1:
        found = [kind for kind in _in_the_call(llm_string) if kind in found]
    if len(found) != 1:
        raise UncacheableError(f"cannot tell which class {name!r} the model is to answer with")
    return found[0].model_json_schema()


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
