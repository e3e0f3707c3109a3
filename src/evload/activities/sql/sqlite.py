"""Statements in SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from ...spi.activity import as_text
from ...spi.context import Surroundings
from ...units import NS_PER_S
from .database import Found
from .settings import SqlActivitySettings
from .statements import Statement


class SqliteDatabase:
    """The file of one activity. It has to be there."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OverflowError)

    def __init__(self, config: SqlActivitySettings, surroundings: Surroundings) -> None:
        self._uri = f"file:{quote(str(surroundings.base_dir / config.file))}?mode=rw"
        self._limit_s = config.timeout / NS_PER_S

    async def connect(self) -> _Connection:
        """See `Database`."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="evload-sqlite")
        try:
            # Without a level of isolation each statement is committed by itself.
            opened = await asyncio.get_running_loop().run_in_executor(
                thread,
                lambda: sqlite3.connect(
                    self._uri, uri=True, timeout=self._limit_s, isolation_level=None, check_same_thread=False
                ),
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return _Connection(opened, thread)

    def explain(self, error: Exception) -> str:
        """See `Database`."""
        return str(error)

    def refused(self, error: Exception) -> bool:
        """See `Database`: there is nobody else."""
        return True


class _Connection:
    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def do(self, statement: Statement, values: Sequence[Any]) -> Found:
        text = "?".join(statement.parts)
        plain = [as_text(value) if isinstance(value, list | dict) else value for value in values]
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, text, plain)

    def _run(self, text: str, values: Sequence[Any]) -> Found:
        cursor = self._connection.execute(text, values)
        try:
            columns = tuple(column[0] for column in cursor.description or ())
            first = cursor.fetchone()
            for _ in cursor:
                pass  # what it does to later rows it does as they are asked for
            return Found(columns, first)
        finally:
            cursor.close()

    def drop(self) -> None:
        # Whatever it is doing ends, and so does its thread then.
        self._connection.interrupt()
        self._thread.submit(self._connection.close)
        self._thread.shutdown(wait=False)
