"""Questions and answers from CSV, TSV, JSON and JSON lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semcache_core.errors import ConfigError
from semcache_core.units import in_seconds
from semcache_core.warming import Known

_QUESTION = ("question", "query", "prompt", "input", "q")
_ANSWER = ("answer", "response", "output", "completion", "a")


def read_pairs(
    path: str | Path, question: str | None = None, answer: str | None = None
) -> list[Known]:
    """The pairs of a file; .csv and .tsv with a header, .json, else JSON lines; also .gz.

    `question` and `answer` name the columns, if they are not called so; `tokens` and `ttl` are
    taken too. Raises `ConfigError` that names the line.
    """
    name, text = str(path), _text(Path(path).expanduser())
    kind = Path(name.removesuffix(".gz")).suffix.lower()
    if kind in (".csv", ".tsv"):
        rows = _table(text, name, "\t" if kind == ".tsv" else ",")
    else:
        rows = _objects(text, name) if kind == ".json" else _lines(text, name)
    found = [_known(row, where, question, answer) for where, row in rows]
    if not found:
        raise ConfigError(f"{name}: no questions and answers are in it")
    return found


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not a text in UTF-8") from None
    except (OSError, EOFError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{str(path)!r} cannot be read: {why}") from error


def _table(text: str, name: str, delimiter: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            where = f"{name}:{reader.line_num}"
            if row.pop(None, None):  # csv's name for what is too much
                raise ConfigError(f"{where}: it has more columns than the header; quote commas")
            yield where, row
    except csv.Error as error:
        raise ConfigError(f"{name}:{reader.line_num}: this is not CSV: {error}") from None


def _lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{name}:{number}", _parsed(line, f"{name}:{number}")


def _objects(text: str, name: str) -> Iterator[tuple[str, Any]]:
    found = _parsed(text, name)
    if isinstance(found, Mapping):
        found = [[question, answer] for question, answer in found.items()]
    if not isinstance(found, list):
        raise ConfigError(f"{name}: a list is needed, of objects with a question and an answer")
    for number, one in enumerate(found, 1):
        yield f"{name}: item {number}", one


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{where}: this JSON is nested too deeply") from None


def _known(row: Any, where: str, question: str | None, answer: str | None) -> Known:
    if isinstance(row, list) and len(row) == 2:
        row = dict(zip(("question", "answer"), row, strict=True))
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}: an object with a question and an answer is needed")
    try:
        return Known(
            _named(row, question, _QUESTION, "question", where),
            _named(row, answer, _ANSWER, "answer", where),
            _tokens(row.get("tokens")),
            _ttl(row.get("ttl")),
        )
    except ConfigError as error:
        said = str(error)
        raise ConfigError(said if said.startswith(where) else f"{where}: {said}") from None


def _named(
    row: Mapping[str, Any], name: str | None, known: tuple[str, ...], what: str, where: str
) -> Any:
    columns = {str(column).strip().lower(): value for column, value in row.items()}
    wanted = (name.strip().lower(),) if name is not None else known
    for one in wanted:
        if one in columns:
            return columns[one]
    raise ConfigError(
        f"{where}: there is no {what}; the columns are {', '.join(map(str, row)) or 'none'}; name "
        f"it: --{what}-column"
    )


def _tokens(value: Any) -> Any:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value or 0


def _ttl(value: Any) -> float | None:
    if value in (None, ""):
        return None
    seconds = in_seconds("ttl", value)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigError(f"ttl: {value!r} was given; give seconds, more than 0, or '7d'")
    return float(seconds)
