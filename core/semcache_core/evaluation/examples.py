"""Labelled questions: pairs, or a stream in order of arrival; read from JSON, CSV or TSV."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semcache_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, a stored question, and whether the stored one's answer serves the first."""

    query: str
    stored: str
    same: bool
    kind: str = ""
    """The kind of paraphrase or near miss, for figures by kind."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a stream; questions of one group are served by one answer."""

    text: str
    group: str


Examples = Sequence[Pair] | Sequence[Asked]

_NAMES = {"query": ("query", "a"), "stored": ("stored", "b"), "same": ("same", "label")}
_BETWEEN = {".csv": ",", ".tsv": "\t"}
_YES = frozenset({"1", "true", "yes", "same"})
_NO = frozenset({"0", "false", "no", "different"})


def read_examples(path: str | Path) -> Examples:
    """Pairs or a stream from a `.jsonl`, `.json`, `.csv` or `.tsv` file, gzipped (`.gz`) or not.

    A `.json` file is one list of objects (or JSON lines); any other name means JSON lines.

    Pairs have the fields `query`, `stored`, `same` (or `a`, `b`, `label`) and perhaps `kind`; a
    stream has `text` and `group`. Raises `ConfigError` naming the line.
    """
    found = [_example(row, f"{path}:{line}") for line, row in _rows(Path(path))]
    if not found:
        raise ConfigError(f"{path}: no examples in it")
    pairs = [one for one in found if isinstance(one, Pair)]
    asked = [one for one in found if isinstance(one, Asked)]
    if pairs and asked:
        raise ConfigError(f"{path}: pairs and questions of a stream; give them in two files")
    return pairs or asked


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, ValueError) as error:  # UnicodeDecodeError is one of the last
        why = getattr(error, "strerror", None) or f"as text ({error})"
        raise ConfigError(f"{str(path)!r} cannot be read: {why}") from error
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind in _BETWEEN:
        yield from enumerate(csv.DictReader(io.StringIO(text), delimiter=_BETWEEN[kind]), 2)
        return
    if kind == ".json" and text.lstrip().startswith("["):
        yield from enumerate(_listed(text, path), 1)
        return
    # `splitlines` also ends a line at characters that JSON allows inside a text, such as U+2028.
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            yield line, _object(row, f"{path}:{line}")


def _listed(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error})") from error
    for number, row in enumerate(rows, 1):
        _checked(row, f"{path}:{number}")
    return list(rows)


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{where}: not JSON ({error}); .jsonl, .json, .csv and .tsv files are read"
        ) from error
    return _checked(row, where)


def _checked(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: an object is needed, such as {{'query': ..., 'stored': ...}}")
    return row


def _example(row: dict[str, Any], where: str) -> Pair | Asked:
    if "text" in row:
        return Asked(_text(row, ("text",), where), _label(row, ("group",), where))
    query, stored = (_text(row, _NAMES[name], where) for name in ("query", "stored"))
    return Pair(query, stored, _same(row, where), str(row.get("kind") or ""))


def _text(row: dict[str, Any], names: tuple[str, ...], where: str) -> str:
    value = next((row[name] for name in names if name in row), None)
    if value is None:
        raise ConfigError(
            f"{where}: there is no {' or '.join(names)}; an example has query, stored and same, or "
            f"text and group, and this has {', '.join(map(str, row)) or 'nothing'}"
        )
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: {' or '.join(names)} must be a text; it is {value!r}")
    return value


def _label(row: dict[str, Any], names: tuple[str, ...], where: str) -> str:
    value = next((row[name] for name in names if name in row), None)
    if value is None:
        raise ConfigError(f"{where}: {' or '.join(names)} is missing")
    return str(value)


def _same(row: dict[str, Any], where: str) -> bool:
    said = _label(row, _NAMES["same"], where).strip().lower()
    if said in _YES or said in _NO:
        return said in _YES
    raise ConfigError(f"{where}: same (or label) must be 1, 0, true or false; it is {said!r}")
