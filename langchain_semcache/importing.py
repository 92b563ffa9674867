"""What LangChain's own SQLiteCache holds, stored under the keys that the same calls have here."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from langchain_core.outputs import Generation

from langchain_semcache.payload import CODEC, tokens
from langchain_semcache.planning import Plan
from semcache_core.envelope import seal
from semcache_core.errors import ConfigError, PayloadError
from semcache_core.flow import Parts
from semcache_core.store import Store
from semcache_core.warming import BATCH, Found, Progress, Warmed, kept

log = logging.getLogger("semcache")
TABLE = "full_llm_cache"
_SELECT = f"SELECT prompt, llm, response FROM {TABLE} ORDER BY prompt, llm, idx"  # noqa: S608  # our own name


class Row(NamedTuple):
    """One prompt with its generations, or what is wrong with them."""

    prompt: str
    llm_string: str
    generations: list[Generation]
    wrong: str = ""


def read_sqlite_cache(path: str | PathLike[str]) -> Iterator[Row]:
    """The rows of a database that `SQLiteCache` wrote.

    Generations are read as this package reads its own: nothing but generations and messages comes
    to life. Raises `ConfigError` for what is no such database.
    """
    file = Path(path).expanduser()
    try:
        with contextlib.closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            rows = db.execute(_SELECT)
            for (prompt, llm), group in groupby(rows, lambda row: row[:2]):
                yield _row(prompt, llm, [response for *_, response in group])
    except sqlite3.Error as error:
        raise ConfigError(f"{str(file)!r} is not LangChain's SQLiteCache: {error}") from error


def _row(prompt: str, llm: str, responses: list[str]) -> Row:
    try:
        return Row(prompt, llm, CODEC.decode(json.dumps(responses).encode()))
    except (PayloadError, ValueError, TypeError) as error:
        return Row(prompt, llm, [], str(error))


Reads = Callable[[str, str], "Plan | None"]
"""How a cache reads a prompt and a model's string, as it is handed them by LangChain."""


def stored(
    parts: Parts,
    plan: Reads,
    rows: Iterator[Row],
    *,
    overwrite: bool,
    progress: Progress | None,
) -> Warmed:
    """Store the rows; those that would not be kept if they were fresh are left out."""
    state = Warmed()
    while some := list(islice(rows, BATCH)):
        found = [one for row in some if (one := _found(parts.store, plan, row)) is not None]
        state = kept(parts, found, replace(state, pairs=state.pairs + len(some)), overwrite)
        if progress is not None:
            progress(state)
    return state


def _found(store: Store, read: Reads, row: Row) -> Found | None:
    if row.wrong:
        log.warning("semcache: a row of the old cache cannot be read: %s", row.wrong)
        return None
    plan = read(row.prompt, row.llm_string)
    if plan is None or plan.unfit(row.generations):
        return None
    prompt = plan.prompt
    if why := plan.exact_only(row.generations):
        prompt = replace(prompt, query=None, exact_only=why)
    payload = seal(CODEC.name, CODEC.encode(row.generations))
    return Found(store, prompt, payload, tokens(row.generations))
