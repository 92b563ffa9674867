"""Making the record's tables where they are missing."""

from __future__ import annotations

import logging
import time

from sqlalchemy import Connection, Engine, Index, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from semcache_core.entries.faults import fault, is_busy, is_race
from semcache_core.entries.questions import Questions
from semcache_core.entries.tables import Tables
from semcache_core.entries.transactions import Transactions

_log = logging.getLogger(__name__)

SCHEMA = "1"
_PAUSES = (0.01, 0.1, 0.5)
"""Seconds before opening is tried again at a busy database."""


class Schema:
    """The tables of one engine."""

    def __init__(
        self, engine: Engine, tables: Tables, questions: Questions, transactions: Transactions
    ) -> None:
        self._engine, self._tables = engine, tables
        self._questions, self._transactions = questions, transactions

    def create(self) -> None:
        """Create what is missing; other processes may be doing the same at this moment."""
        for pause in (*_PAUSES, None):
            try:
                with self._engine.begin() as connection:
                    self._create_tables(connection)
                return
            except DBAPIError as error:
                if pause is None and is_busy(error) and self._is_made():
                    _log.warning("%s", fault(error.orig, self._engine.url))
                    return
                if pause is None or not (is_busy(error) or is_race(error)):
                    raise
                time.sleep(pause)

    def _is_made(self) -> bool:
        """Whether there is nothing to create, so that a lock of somebody else's does not matter."""
        names = set(inspect(self._engine).get_table_names(schema=self._tables.entries.schema))
        return names >= {table.name for table in self._tables.all}

    def _create_tables(self, connection: Connection) -> None:
        for table in self._tables.all:
            table.create(connection, checkfirst=True)
        for index in self._tables.indexes:
            self._create_index(connection, index)
        if connection.execute(self._questions.reads.state).first() is None:
            self._transactions.start(connection)
            self._transactions.set_meta(connection, "schema", SCHEMA)
        # Whether it can be written shows now, and not at some put.
        self._transactions.advance(connection, 0)

    def _create_index(self, connection: Connection, index: Index) -> None:
        if self._engine.dialect.name == "duckdb":  # it cannot say which there are
            connection.execute(CreateIndex(index, if_not_exists=True))
        else:
            index.create(connection, checkfirst=True)
