"""LlamaIndex's answers to bytes and back: chat, completion, structured objects.

JSON of the fields, with the class of the response (providers have their own, with citations for
instance) and of objects that providers put among the extras. A class is looked up among the modules
that are loaded, and must be a response, or plain data: reading an entry imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import orjson
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
)
from llama_index.core.schema import BaseComponent
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from semcache_core.errors import PayloadError

R = TypeVar("R", ChatResponse, CompletionResponse)
M = TypeVar("M", bound=BaseModel)
MARK = "semcache"
"""Where a served response keeps what is known of the hit: `response.additional_kwargs[MARK]`."""

_CLASS, _FIELDS = "semcache:class", "semcache:fields"


class ResponseCodec(Generic[R]):
    """One kind of response, without `raw`: the provider's own object belongs to the call."""

    def __init__(self, name: str, base: type[R]) -> None:
        self.name = name
        self._base: type[Any] = base

    def encode(self, answer: R) -> bytes:
        """Raises `PayloadError` for what does not come back equal."""
        kept = storable(answer)
        try:
            data = _json([_name(type(kept)), _fields_of(kept)])
        except (TypeError, ValueError, PydanticSerializationError) as error:
            raise PayloadError(f"the answer is not JSON: {error}") from error
        if self.decode(data) != kept:
            raise PayloadError("the answer does not survive being written and read")
        return data

    def decode(self, data: bytes) -> R:
        """A fresh object; raises `PayloadError`."""
        try:
            name, fields = orjson.loads(data)
            if not isinstance(name, str):
                raise PayloadError("the stored answer names no class")
            kind = _loaded(name)
            if kind is None or not issubclass(kind, self._base):
                raise PayloadError(f"{name} is not a loaded kind of {self._base.__name__}")
            answer: R = kind.model_validate(revived(fields))  # type: ignore[assignment]  # just checked
            return answer
        except (ValueError, TypeError) as error:
            raise PayloadError(f"the stored answer cannot be read: {error}") from error

    def from_text(self, text: str) -> R:
        """A response that says just this."""
        if self._base is CompletionResponse:
            return CompletionResponse(text=text)  # type: ignore[return-value]  # R, as just seen
        message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
        return ChatResponse(message=message)  # type: ignore[return-value]  # as above

    def text(self, data: bytes) -> str:
        """The answer's text; for tool calls their JSON."""
        _, fields = orjson.loads(data)
        if "text" in fields:
            return str(fields["text"])
        blocks = fields["message"]["blocks"]
        text = "\n".join(b["text"] for b in blocks if b.get("block_type") == "text")
        return text or orjson.dumps([b for b in blocks if "tool_name" in b]).decode()


class ObjectCodec(Generic[M]):
    """Objects of one class: what structured prediction returns."""

    name = "llamaindex.object"

    def __init__(self, kind: type[M]) -> None:
        self._kind = kind

    def encode(self, answer: M) -> bytes:
        """Raises `PayloadError` for what does not come back equal."""
        try:
            data = answer.model_dump_json(by_alias=True).encode()
        except PydanticSerializationError as error:
            raise PayloadError(f"the object is not JSON: {error}") from error
        if self.decode(data) != answer:
            raise PayloadError("the object does not survive being written and read")
        return data

    def decode(self, data: bytes) -> M:
        """A fresh object; raises `PayloadError`."""
        try:
            return self._kind.model_validate_json(data)
        except ValueError as error:
            raise PayloadError(f"the stored object cannot be read: {error}") from error

    def from_text(self, text: str) -> M:
        """The object that a JSON text holds; raises `PayloadError`."""
        return self.decode(text.encode())

    def text(self, data: bytes) -> str:
        """The object as JSON."""
        return data.decode()


CHAT = ResponseCodec("llamaindex.chat", ChatResponse)
COMPLETION = ResponseCodec("llamaindex.completion", CompletionResponse)
OBJECT = ObjectCodec(BaseModel)
"""For reading the text of stored objects, whatever their class."""


def storable(answer: R) -> R:
    """The response without what belongs to one call only."""
    extras = {
        k: v for k, v in answer.additional_kwargs.items() if k not in (MARK, "thinking_delta")
    }
    return answer.model_copy(update={"raw": None, "delta": None, "additional_kwargs": extras})


def _fields_of(model: BaseModel) -> dict[str, Any]:
    fields = {name: getattr(model, name) for name in type(model).model_fields}
    return {name: plain(value) for name, value in fields.items() if value is not None}


def plain(value: Any) -> Any:
    """JSON for what a response holds; objects carry the name of their class."""
    if isinstance(value, ChatMessage):
        # Its own serialiser, which knows of blocks; but that would make dicts of the extras.
        shown = value.model_dump(mode="json", exclude={"additional_kwargs"}, exclude_none=True)
        return shown | {"additional_kwargs": plain(value.additional_kwargs)}
    if isinstance(value, BaseModel):
        return {_CLASS: _name(type(value)), _FIELDS: value.model_dump(mode="json")}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def revived(value: Any) -> Any:
    """What `plain` was given."""
    if isinstance(value, dict):
        if value.keys() == {_CLASS, _FIELDS}:
            return _object(value[_CLASS], value[_FIELDS])
        return {key: revived(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revived(item) for item in value]
    return value


def _object(name: str, fields: Any) -> Any:
    kind = _loaded(name)
    if kind is None or not _is_plain_data(kind):
        return fields
    return kind.model_validate(fields)


def _is_plain_data(kind: type[BaseModel]) -> bool:
    """Whether making one runs no code but pydantic's: the cache's file is untrusted input.

    A client, a component, a settings class do things when they are made.
    """
    own = (kind.__init__, kind.model_post_init, kind.__new__)
    decorators = kind.__pydantic_decorators__
    return (
        not issubclass(kind, BaseComponent)
        and own == (BaseModel.__init__, BaseModel.model_post_init, BaseModel.__new__)
        and not kind.__private_attributes__
        and not (decorators.validators or decorators.field_validators)
        and not (decorators.root_validators or decorators.model_validators)
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _loaded(name: str) -> type[BaseModel] | None:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        # Not getattr: some modules import what they are asked for.
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
