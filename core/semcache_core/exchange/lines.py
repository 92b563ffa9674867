"""A record as JSON lines and back: one object for the cache, then one for each entry.

Entries keep everything: id, scope, vector, times, use counts, and the sealed answer as it is. So a
cache that was exported and imported is the same cache, and no embedder is needed for either.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from semcache_core.copying import lacking
from semcache_core.envelope import unseal
from semcache_core.errors import ConfigError, IncompatibleError, PayloadError
from semcache_core.models import Entry, Vector
from semcache_core.protocols import EntryStore

VERSION = 1
_BATCH = 500
_CLAIM = ("embedder", "dimension", "probe")
_KEPT_HERE = ("id", "schema")
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TEXTS = ("namespace", "model")
_NUMBERS = ("created", "last_used")
_COUNTS = ("uses", "tokens")
_NAMES = {one.name for one in fields(Entry)} - {"seq", "payload", "vector"}
_NAMES |= {"payload", "payload64", "vector"}


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did; numbers of entries."""

    stored: int = 0
    present: int = 0
    """Were there already, as new or newer."""
    skipped: int = 0
    """Lines that could not be read."""
    why: str = ""
    """What was wrong with the first of them."""


def export_lines(record: EntryStore, namespace: str | None = None) -> Iterator[str]:
    """The lines, without their ends. Reads a few entries at a time; raises `StoreError`."""
    metas = {
        name: value
        for name, value in record.metas().items()
        if value and name not in _KEPT_HERE and not name.startswith("index.")
    }
    yield json.dumps({"semcache": VERSION, "values": metas}, ensure_ascii=False)
    for entry in record.entries(namespace):
        yield json.dumps(_told(entry), ensure_ascii=False)


def _told(entry: Entry) -> dict[str, Any]:
    told = {one.name: getattr(entry, one.name) for one in fields(Entry)}
    told["turns"] = list(entry.turns)
    del told["seq"], told["payload"]
    if entry.vector is not None:
        told["vector"] = base64.b64encode(entry.vector.astype("<f4").tobytes()).decode()
    try:
        told["payload"] = entry.payload.decode()
    except UnicodeDecodeError:
        told["payload64"] = base64.b64encode(entry.payload).decode()
    return told


def import_lines(
    record: EntryStore, lines: Iterable[str], name: str = "line", *, lenient: bool = False
) -> Imported:
    """Write exported entries into a record; of two with one id the newer stays.

    Raises `ConfigError` that names the line of what is not an export (`lenient`: such lines are
    counted), `IncompatibleError` for another embedder's vectors, `StoreError`.
    """
    numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
    head = next(numbered, None)
    if head is None:
        raise ConfigError(f"{name}: nothing is in it")
    where = f"{name}:{head[0]}"
    dimension = _open(record, check_head(head[1], where), where)
    state, page = Imported(), []
    for number, line in numbered:
        try:
            page.append(_entry(_object(line, f"{name}:{number}"), f"{name}:{number}", dimension))
        except ConfigError as error:
            if not lenient:
                _put(record, page, state)
                raise
            why = state.why or str(error)
            state = replace(state, skipped=state.skipped + 1, why=why)
        if len(page) == _BATCH:
            state, page = _put(record, page, state), []
    return _put(record, page, state)


def check_head(line: str, where: str) -> dict[str, str]:
    """The values that an export begins with; raises `ConfigError` for any other line."""
    if not line.strip():
        raise ConfigError(f"{where}: it is empty; an export begins with a line about the cache")
    head = _object(line, where)
    values = head.get("values")
    if "semcache" not in head or not isinstance(values, dict):
        raise ConfigError(
            f"{where}: this is no export of semcache; `semcache warm` takes questions and answers"
        )
    if head["semcache"] != VERSION:
        raise ConfigError(f"{where}: version {head['semcache']!r} is not known here")
    if not all(isinstance(value, str) for value in values.values()):
        raise ConfigError(f"{where}: its values should be texts")
    _dimension(values.get("dimension"), where)
    return values


def _open(record: EntryStore, values: dict[str, str], where: str) -> int | None:
    """Check the first line against the record and take over its values; the vectors' length."""
    held = record.metas()
    if held.get("embedder") and values.get("embedder") not in (None, "", held["embedder"]):
        raise IncompatibleError(
            f"{where}: the vectors are of the embedder {values['embedder']!r}, and those in the "
            f"cache of {held['embedder']!r}: import into another cache"
        )
    for one, value in values.items():
        if not held.get(one) and one not in _KEPT_HERE and not one.startswith("index."):
            record.set_meta(one, value)
    return _dimension(values.get("dimension"), where)


def _dimension(text: str | None, where: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise ConfigError(f"{where}: the dimension {text!r} is no number") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = getattr(error, "msg", "it is nested too deeply")
        raise ConfigError(f"{where}: this is not JSON: {said}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: an object is needed, and this is {line[:40]!r}")
    return found


def _entry(row: dict[str, Any], where: str, dimension: int | None) -> Entry:
    if unknown := sorted(row.keys() - _NAMES):
        raise ConfigError(f"{where}: an entry has no {unknown[0]!r}")
    for key in ("key", "scope"):
        if not (isinstance(row.get(key), str) and _DIGEST.fullmatch(row[key])):
            raise ConfigError(f"{where}: {key} should be 64 hex digits; it is {row.get(key)!r}")
    for key, kind in _KINDS.items():
        if not kind(row.get(key, _DEFAULTS.get(key))):
            raise ConfigError(f"{where}: {key} cannot be {row.get(key)!r}")
    plain = {key: row[key] for key in row.keys() - {"payload", "payload64", "vector", "turns"}}
    return Entry(
        **plain,
        turns=tuple(row.get("turns") or ()),
        vector=_vector(row.get("vector"), where, dimension),
        payload=_payload(row, where),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_DEFAULTS: dict[str, Any] = {"last_used": 0.0, "uses": 0, "tokens": 0, "model": "", "turns": []}
_DEFAULTS |= {"namespace": ""}
_KINDS: dict[str, Callable[[Any], bool]] = (
    dict.fromkeys(_TEXTS, lambda value: isinstance(value, str))
    | dict.fromkeys(_NUMBERS, _is_number)
    | dict.fromkeys(_COUNTS, _is_count)
    | {
        "query": lambda value: value is None or isinstance(value, str),
        "expires": lambda value: value is None or _is_number(value),
        "turns": _is_texts,
    }
)


def _vector(text: Any, where: str, dimension: int | None) -> Vector | None:
    if text is None:
        return None
    try:
        vector = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    except (ValueError, TypeError, binascii.Error):
        raise ConfigError(f"{where}: the vector is no list of floats in base64") from None
    # Written so that a vector with a NaN fails as well.
    if dimension not in (None, vector.size) or not abs(float(vector @ vector) - 1.0) < 1e-2:
        raise ConfigError(f"{where}: the vector is not one of {dimension} numbers of unit length")
    return vector


def _payload(row: dict[str, Any], where: str) -> bytes:
    try:
        sealed = row.get("payload")
        payload = (
            sealed.encode() if sealed is not None else base64.b64decode(row["payload64"] or "")
        )
        unseal(payload)
    except (KeyError, TypeError, AttributeError, ValueError, PayloadError) as error:
        said = str(error) if isinstance(error, PayloadError) else "it is missing, or no text"
        raise ConfigError(f"{where}: the answer cannot be read: {said}") from None
    return payload


def _put(record: EntryStore, page: list[Entry], state: Imported) -> Imported:
    wanted = lacking(record, page)
    if wanted:
        record.put(wanted)
    stored, present = len(wanted), len(page) - len(wanted)
    return replace(state, stored=state.stored + stored, present=state.present + present)
