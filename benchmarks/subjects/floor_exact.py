"""Floors of the exact hit and the put: a dict by digest, and one row of `sqlite3`.

Argument: dict or sqlite3. The dict's key is a BLAKE2b digest of the question.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from pathlib import Path

from _serve import Corpus, Op, Subject, answer, serve


def key(question: str) -> bytes:
    """A question's digest."""
    return hashlib.blake2b(question.encode(), digest_size=32).digest()


class Dict(Subject):
    """A Python dict."""

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        asked = corpus.texts["stored"][: corpus.count]
        self._answers = {key(question): answer(question) for question in asked}

    def ops(self) -> dict[str, Op]:
        texts = self.corpus.texts["stored"]
        return {"exact": lambda i: self._answers[key(texts[i])], "put": self._put}

    def _put(self, i: int) -> str:
        question = self.corpus.texts["stored"][i]
        said = self._answers[key(question)] = answer(question)
        return said


class SQLite(Subject):
    """A table with one index, in WAL mode with synchronous=NORMAL, as semcache's record."""

    def open(self, corpus: Corpus, folder: Path) -> None:
        self.corpus = corpus
        self._db = sqlite3.connect(folder / "floor.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE t (k BLOB PRIMARY KEY, a TEXT, v BLOB) WITHOUT ROWID")
        asked = corpus.texts["stored"][: corpus.count]
        with self._db:
            self._db.executemany("INSERT INTO t VALUES (?,?,?)", map(self._row, asked))

    def _row(self, question: str) -> tuple[bytes, str, bytes]:
        return key(question), answer(question), self.corpus.vector(question).tobytes()

    def ops(self) -> dict[str, Op]:
        texts = self.corpus.texts["stored"]
        return {"exact": lambda i: self._get(texts[i]), "put": lambda i: self._put(texts[i])}

    def _get(self, question: str) -> str:
        found = self._db.execute("SELECT a FROM t WHERE k = ?", (key(question),)).fetchone()
        return str(found[0])

    def _put(self, question: str) -> str:
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO t VALUES (?,?,?)", self._row(question))
        return answer(question)

    def close(self) -> None:
        self._db.close()


if __name__ == "__main__":
    serve({"dict": Dict, "sqlite3": SQLite}[sys.argv[1]]())
