"""The kinds of values that configurations hold, stricter than pydantic's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

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


Text = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Whole = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Integer = Annotated[int, BeforeValidator(_no_bool)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
Unit = Annotated[Number, Field(ge=0, le=1)]
"""In [0, 1]."""
Share = Annotated[Number, Field(gt=0, lt=1)]
"""Strictly between 0 and 1."""
Cosine = Annotated[Number, Field(ge=-1, le=1)]
Bytes = Annotated[int, _amount(in_bytes), Field(ge=1)]
Seconds = Annotated[float, _amount(in_seconds), Field(gt=0, allow_inf_nan=False)]
