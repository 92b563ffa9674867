"""What a request demands of its answer, as far as its arguments show it: schemas of tools and text.

An answer that the caller's parser will refuse must not be stored: its retry would be served it
again. So answers are held against the JSON Schemas that the request itself names, before they are
stored. What cannot be checked (an unknown format, a schema that is none) is not held against them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.json import parse_json_markdown

log = logging.getLogger("semcache")

Schema = Mapping[str, Any]
ANY_JSON: Schema = {}
# By the providers' packages: OpenAI and most others; Anthropic; Google; Ollama.
_FORMATS = ("response_format", "output_format", "output_config", "format")
_SCHEMAS = ("response_json_schema", "response_schema")
_MISFIT = "the answer does not fit the schema"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is demanded of an answer."""

    tools: Mapping[str, Schema] = field(default_factory=dict)
    """The schemas of the arguments, by tool."""
    text: Any = None
    """The schema of the text, or the class that it is parsed into; None: any text."""

    def fault(self, generations: Sequence[Generation]) -> str:
        """Why the caller cannot use these answers; empty if nothing speaks against them."""
        found = (self._fault(one) for one in generations if isinstance(one, ChatGeneration))
        return next(filter(None, found), "")

    def misfit(self, calls: Iterable[Mapping[str, Any]]) -> bool:
        """Whether one of these tool calls has arguments that its tool refuses."""
        return any(not _fits(call["args"], self.tools.get(call["name"])) for call in calls)

    def _fault(self, generation: ChatGeneration) -> str:
        message = generation.message
        calls = getattr(message, "tool_calls", None)
        if calls:
            return _MISFIT if self.misfit(calls) else ""
        if self.text is None or _fits_text(generation.text, self.text):
            return ""
        return _MISFIT


def expected(kwargs: Mapping[str, Any], described: Sequence[Any] = ()) -> Expected:
    """Read off a call's arguments; `described` are the schemas of classes that it hides."""
    try:
        tools = kwargs.get("tools") or kwargs.get("functions") or ()
        return Expected(dict(filter(None, map(_tool, tools))), _text(kwargs, described))
    except Exception as error:  # noqa: BLE001  # a shape nobody foresaw must not end the caching
        log.warning("semcache: answers are stored unchecked (%s)", type(error).__name__)
        return Expected()


def _tool(tool: Any) -> tuple[str, Schema] | None:
    """OpenAI's two shapes, and Anthropic's; None for a provider's own tools."""
    if not isinstance(tool, Mapping):
        return None
    inner = tool["function"] if isinstance(tool.get("function"), Mapping) else tool
    schema = next(filter(None, map(inner.get, ("parameters", "input_schema"))), None)
    name = inner.get("name")
    return (name, schema) if isinstance(name, str) and isinstance(schema, Mapping) else None


def _text(kwargs: Mapping[str, Any], described: Sequence[Any]) -> Any:
    named = [kwargs[key] for key in _SCHEMAS if kwargs.get(key) is not None]
    named += [_of_format(kwargs[key]) for key in _FORMATS if kwargs.get(key) is not None]
    hidden = [one for one in described if isinstance(one, Mapping)]
    if not named and len(described) == len(hidden) == 1:
        return hidden[0]
    return next((one for one in named if one is not None), None)


def _of_format(given: Any) -> Any:
    """The schema inside a provider's description of the format."""
    if given in ("json", "json_object"):
        return ANY_JSON
    if not isinstance(given, Mapping):
        return given if isinstance(given, type) else None
    if isinstance(given.get("format"), Mapping):
        return _of_format(given["format"])
    if given.get("type") == "json_object":
        return given.get("schema") or ANY_JSON
    if given.get("type") == "json_schema":
        inner = given.get("json_schema") or given
        return inner.get("schema") if isinstance(inner, Mapping) else None
    return given if "properties" in given else None


def _fits_text(text: str, schema: Any) -> bool:
    try:
        # LangChain's own parser, so that nothing is refused that the caller's would take.
        value = parse_json_markdown(text)
    except Exception:  # noqa: BLE001  # whatever it raises, the caller's parser raises it too
        return False
    return _fits(value, schema)


def _fits(value: Any, schema: Any) -> bool:
    """True also where it cannot be told."""
    if schema is None:
        return True
    try:
        return not any(_faults(value, schema))
    except Exception as error:  # noqa: BLE001  # a checker's failure says nothing of the answer
        log.debug("semcache: an answer could not be checked (%s)", type(error).__name__)
        return True


def _faults(value: Any, schema: Any) -> Iterator[Any]:
    from pydantic import BaseModel, TypeAdapter, ValidationError

    if isinstance(schema, type):
        try:
            checked = TypeAdapter(schema) if not issubclass(schema, BaseModel) else None
            checked.validate_python(value) if checked else schema.model_validate(value)  # type: ignore[attr-defined]  # a model
        except ValidationError as error:
            yield error
        return
    from jsonschema.validators import validator_for  # type: ignore[import-untyped]  # no stubs
    from referencing import Registry

    # An empty registry: a `$ref` to an address is not fetched.
    kind = validator_for(schema)
    yield from kind(schema, registry=Registry()).iter_errors(value)
