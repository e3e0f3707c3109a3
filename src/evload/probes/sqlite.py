"""Asks an SQLite database about many events at a time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote

from pydantic import Field

from ..clients.databases import Refusal
from ..clock import Clock
from ..spi.context import Surroundings
from ..spi.guard import NOBODY, Reach
from ..spi.probe import Probe
from ..units import format_duration
from ._shared.sql_reader import Rows, SqlReader, reading
from ._shared.sql_settings import SqlSettings, split_query

_IDS: Final = "SELECT value FROM json_each(?)"
"""One parameter for any number of ids; SQLite allows 32,766 of them."""
_STEPS: Final = 10_000
"""Instructions of SQLite's machine between two looks at the clock, about a tenth of a millisecond."""


class SqliteProbeConfig(SqlSettings):
    """Settings of the SQLite probe.

    `:ids` is a list, as in `WHERE correlation_id IN (:ids)`. The file is opened read-only, and a query that finds
    it locked waits no longer than `statement_timeout` as a whole.
    """

    kind: Literal["sqlite"]
    path: Annotated[Path, Field(description="the database's file")]

    @property
    def reach(self) -> Reach:
        return NOBODY

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Probe]:
        """Open the file and ask once, yield the probe, close. Raises TargetError."""
        return _open(self, surroundings)


class _SqliteDatabase:
    def __init__(self, config: SqliteProbeConfig, surroundings: Surroundings, threads: ThreadPoolExecutor) -> None:
        path = surroundings.base_dir / config.path
        self._uri = f"file:{quote(str(path))}?mode=ro"
        pieces = split_query(config.query)
        self._query = _IDS.join(pieces)
        self._places = len(pieces) - 1
        self._limit_ns = config.statement_timeout
        self._clock = surroundings.clock
        self._threads = threads
        self.where = str(config.path)
        self.errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    async def connect(self) -> _SqliteConnection:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, _SqliteConnection, self._uri, self._query, self._places, self._limit_ns, self._clock,
            self._threads,
        )  # fmt: skip

    def explain(self, error: Exception) -> Refusal:
        message = " ".join(str(error).split())
        if message == "interrupted" or "locked" in message:
            why = "the query took" if message == "interrupted" else "the file was locked for"
            reason = f"statement timeout: {why} longer than {format_duration(self._limit_ns)}"
            return Refusal(reason, "add an index on the column that holds the id, or raise statement_timeout")
        if "readonly" in message or "read-only" in message:
            return Refusal(f"the query writes: {message}", "write a SELECT that only reads")
        if "unable to open" in message:
            return Refusal(message, "correct path, and check its permissions and those of its directory")
        if "not a database" in message or "malformed" in message:
            return Refusal(message, "name a file of SQLite")
        return Refusal(f"the query is wrong: {message}", "correct query")


class _SqliteConnection:
    usable = True

    def __init__(
        self, uri: str, query: str, places: int, limit_ns: int, clock: Clock, threads: ThreadPoolExecutor
    ) -> None:
        self._query = query
        self._places = places
        self._limit_ns = limit_ns
        self._clock = clock
        self._threads = threads
        self._until_ns = 0
        # Any thread of the pool may use it, one after the other.
        self._connection = sqlite3.connect(uri, uri=True, timeout=limit_ns / 1e9, check_same_thread=False)
        self._connection.set_progress_handler(self._is_over, _STEPS)

    async def ask(self, ids: Sequence[str]) -> Rows:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, json.dumps(ids))

    def _run(self, ids: str) -> Rows:
        self._until_ns = self._clock.now_ns() + self._limit_ns
        cursor = self._connection.execute(self._query, [ids] * self._places)
        try:
            return Rows(tuple(column[0] for column in cursor.description or ()), cursor.fetchall())
        finally:
            cursor.close()

    def _is_over(self) -> bool:
        return self._clock.now_ns() > self._until_ns

    def drop(self) -> None:
        self._connection.interrupt()
        self._threads.submit(self._connection.close)


@asynccontextmanager
async def _open(config: SqliteProbeConfig, surroundings: Surroundings) -> AsyncIterator[SqlReader]:
    # A thread for each connection, so that no query waits for another one's thread.
    with ThreadPoolExecutor(config.pool, thread_name_prefix="evload-sqlite") as threads:
        async with reading(config, _SqliteDatabase(config, surroundings, threads), surroundings) as reader:
            yield reader
