"""Something done by SQL: in PostgreSQL, in MySQL and MariaDB, in SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...spi.activity import Activity
from ...spi.context import Surroundings
from .database import Database
from .settings import SqlActivitySettings


class SqlConfig(SqlActivitySettings):
    """Settings of what is done by SQL.

    Each statement is committed by itself, and the first that fails is the last. A placeholder in braces is bound as a
    parameter of the statement, so that it needs no quotes. It connects each time, so that it may be done to a
    database that wasn't there before.
    """

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        """Yield what does it; nothing is connected yet. Raises TargetError if the driver isn't there."""
        from .doing import Statements

        yield Statements(self, self._opened(surroundings))

    def _opened(self, surroundings: Surroundings) -> Database:
        if self.database == "postgres":
            from .postgres import PostgresDatabase

            return PostgresDatabase(self, surroundings)
        if self.database == "mysql":
            from .mysql import MysqlDatabase

            return MysqlDatabase(self, surroundings)
        from .sqlite import SqliteDatabase

        return SqliteDatabase(self, surroundings)
