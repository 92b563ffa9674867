"""The kinds of values that configurations hold, stricter than pydantic's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from semcache_core.errors import ConfigError
from semcache_core.units import in_bytes, in_seconds


def _no_bool(value: Any) -> Any:
    """YAML's `yes` and `on` are true, and pydantic takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("give a number")
    return value


def _amount(read: Callable[[str, object], object]) -> BeforeValidator:
    def convert(value: Any) -> Any:
        try:
            return read("amount", _no_bool(value))
        except ConfigError as error:
            raise ValueError(str(error).rpartition("; ")[2]) from None

    return BeforeValidator(convert, json_schema_input_type=float | str)


def _text(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("give a text without a null character")
    return value


def _folder(value: str) -> str:
    if not value.strip():
        raise ValueError("give a folder's name, or leave it out for a cache in memory")
    return value


_NUMBER = BeforeValidator(_no_bool)

# Bounds stand before the validators, or the JSON schema would not know them.
Text = Annotated[str, BeforeValidator(_text)]
Folder = Annotated[Text, AfterValidator(_folder)]
Count = Annotated[int, Field(ge=1), _NUMBER]
Whole = Annotated[int, Field(ge=0), _NUMBER]
Integer = Annotated[int, _NUMBER]
Number = Annotated[float, Field(allow_inf_nan=False), _NUMBER]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), _NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), _NUMBER]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _NUMBER]
"""In [0, 1]."""
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), _NUMBER]
"""Strictly between 0 and 1."""
PositiveUnit = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), _NUMBER]
Cosine = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False), _NUMBER]
Fill = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False), _NUMBER]
Bytes = Annotated[int, Field(ge=1), _amount(in_bytes)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), _amount(in_seconds)]
