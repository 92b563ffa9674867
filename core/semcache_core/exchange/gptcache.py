"""Questions and answers out of GPTCache's SQLite file; nothing of GPTCache is needed for that.

Its vectors are left behind: they are of its own models, and it keeps them in several formats. Its
`map` manager keeps a pickle, which can run any code when it is read, so it is not.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from semcache_core.errors import ConfigError
from semcache_core.warming import Known

TABLE = "gptcache_question"
_ANSWERS = "gptcache_answer"
_FILES = ("sqlite.db", "gptcache.db")
_TEXT = 0
"""GPTCache's number for an answer that is a text and no image."""
_SELECT = f"""
    SELECT q.question, a.answer FROM {TABLE} AS q JOIN {_ANSWERS} AS a ON a.question_id = q.id
    WHERE q.deleted = 0 AND a.answer_type = {_TEXT}
    ORDER BY q.id, a.id
"""  # noqa: S608  # our own names


def read_gptcache(path: str | Path) -> list[Known]:
    """Each question's newest answer, from the file or the folder that holds it.

    Raises `ConfigError` for what is no such file.
    """
    file = _file(Path(path).expanduser())
    try:
        with contextlib.closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            rows = db.execute(_SELECT).fetchall()
    except sqlite3.Error as error:
        raise ConfigError(f"{str(file)!r} is not GPTCache's database: {error}") from error
    found = {question: answer for question, answer in rows if _is_text(question, answer)}
    if not found:
        raise ConfigError(f"{str(file)!r}: no questions with answers that are texts are in it")
    return [Known(question, answer) for question, answer in found.items()]


def _is_text(*values: object) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = [path / name for name in _FILES if (path / name).is_file()]
    if found:
        return found[0]
    if (path / "data_map.txt").is_file():
        raise ConfigError(
            f"{str(path / 'data_map.txt')!r} is a pickle, which can run any code when it is read; "
            "export it with GPTCache itself, and `semcache warm` takes the questions and answers"
        )
    raise ConfigError(f"{str(path)!r}: GPTCache's {' or '.join(_FILES)} is not there")
