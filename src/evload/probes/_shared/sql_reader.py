"""Sends the SQL probes' query: a pool of connections, time limits, and failures that stay failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Protocol

from ...clients.databases import Refusal
from ...clock import Clock
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.traffic import Exchange, Message, Traffic
from ...units import NS_PER_S, format_duration
from .asked_ids import NOTHING_CAPTURED, asked_id
from .row_looks import RowLooks
from .sql_rows import BadColumns, BadRow, RowReader
from .sql_settings import SqlSettings

_MARGIN_NS: Final = 2 * NS_PER_S
"""How much longer than the statement timeout, which the database keeps, an answer may take to arrive."""
_NOBODY: Final = (1 << 48) - 1
"""Number of an event that no run gets to."""
_SHOWN: Final = 20
"""Most rows of an answer that are kept for whoever looks on."""


class Rows(NamedTuple):
    """An answer: the columns' names, and the rows."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


class Connection(Protocol):
    """One connection, on which the query is ready."""

    @property
    def usable(self) -> bool:
        """Whether it is still connected, as far as is known without asking."""
        ...

    async def ask(self, ids: Sequence[str]) -> Rows:
        """Run the query. Raises one of `Database.errors`."""
        ...

    def drop(self) -> None:
        """Cut it off, whatever it is doing."""
        ...


class Database(Protocol):
    """Where the connections come from."""

    where: str
    """For people, without credentials."""
    errors: tuple[type[Exception], ...]
    """What connecting and asking raise."""

    async def connect(self) -> Connection:
        """A new connection. Raises one of `errors`, or BadColumns."""
        ...

    def explain(self, error: Exception) -> Refusal:
        """One of `errors` for people; the reason is the same text whenever the cause is the same."""
        ...


class _WatchedDatabase:
    """The same, and somebody looks on."""

    def __init__(self, database: Database, query: str, traffic: Traffic, clock: Clock) -> None:
        self._database = database
        self._query = query
        self._traffic = traffic
        self._clock = clock
        self.where = database.where
        self.errors = database.errors

    async def connect(self) -> Connection:
        return _WatchedConnection(await self._database.connect(), self._query, self._traffic, self._clock)

    def explain(self, error: Exception) -> Refusal:
        return self._database.explain(error)


class _WatchedConnection:
    def __init__(self, connection: Connection, query: str, traffic: Traffic, clock: Clock) -> None:
        self._connection = connection
        self._query = query
        self._traffic = traffic
        self._clock = clock
        self.drop = connection.drop

    @property
    def usable(self) -> bool:
        return self._connection.usable

    async def ask(self, ids: Sequence[str]) -> Rows:
        start_ns = self._clock.now_ns()
        sent = Message(self._query.strip(), f":ids = {', '.join(ids)}".encode())
        try:
            rows = await self._connection.ask(ids)
        except Exception as error:
            self._traffic.exchanged(Exchange(start_ns, self._clock.now_ns(), lambda: sent, None, str(error)))
            raise
        self._traffic.exchanged(Exchange(start_ns, self._clock.now_ns(), lambda: sent, lambda: _shown(rows)))
        return rows


def _shown(rows: Rows) -> Message:
    count = len(rows.rows)
    found = [
        {column: _plain(value) for column, value in zip(rows.columns, row, strict=True)} for row in rows.rows[:_SHOWN]
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in found]
    return Message(f"{count} row{'' if count == 1 else 's'}", "\n".join(lines).encode(), lambda: found)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


class _FailedRead(Exception):
    """A read says nothing about its events."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


class SqlReader:
    """The probe."""

    def __init__(self, config: SqlSettings, database: Database, clock: Clock, traffic: Traffic | None = None) -> None:
        self._database = database
        self._clock = clock
        self._limit_ns = config.statement_timeout
        self._size = config.pool
        self._by_capture = config.by == "capture"
        self._looks = RowLooks(config.until, config.captures, traffic) if config.is_waited_for else None
        self._places = asyncio.Semaphore(config.pool)
        self._idle: list[Connection] = []
        self._columns: tuple[str, ...] | None = None
        self._rows: RowReader | None = None

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """One query about all targets; those that can't be asked for are failed reads."""
        askable = [one for one in targets if one.capture is not None] if self._by_capture else targets
        start_ns = self._clock.now_ns()
        result = ReadResult([], instead="no row of them")
        try:
            if askable:
                result.reads, result.unexpected = await self.ask(askable)
        except (_FailedRead, BadRow, BadColumns) as failure:
            end_ns = self._clock.now_ns()
            result.reads = [Read(target.seq, Seen.FAILED, start_ns, end_ns) for target in askable]
            result.error = str(failure).partition(";")[0]
        if len(askable) < len(targets):
            result.error = result.error or NOTHING_CAPTURED
            result.reads += [Read(one.seq, Seen.FAILED, start_ns, start_ns) for one in targets if one.capture is None]
        return result

    async def try_out(self, target: Target) -> None:
        """Ask once. Raises TargetError that says what to change."""
        try:
            await self.ask([target])
        except _FailedRead as failure:
            raise TargetError(f"can't ask {self._database.where}: {failure}; {failure.cure}") from failure
        except (BadColumns, BadRow) as wrong:
            raise TargetError(f"can't ask {self._database.where}: {wrong}") from wrong

    async def ask(self, targets: Sequence[Target]) -> tuple[list[Read], int]:
        """The reads, and how many ids nobody asked for. Raises _FailedRead, BadRow or BadColumns."""
        await self._wait_for_a_place()
        connection: Connection | None = None
        keep = False
        try:
            async with asyncio.timeout((self._limit_ns + _MARGIN_NS) / NS_PER_S):
                connection = self._take() or await self._database.connect()
                start_ns = self._clock.now_ns()
                answer = await connection.ask([asked_id(target, self._by_capture) for target in targets])
                end_ns = self._clock.now_ns()
            keep = True
        except TimeoutError as error:
            reason = f"no answer within {format_duration(self._limit_ns + _MARGIN_NS)}"
            raise _FailedRead(reason, "check the network, and that the database answers") from error
        except self._database.errors as error:
            keep = connection is not None and connection.usable
            raise _FailedRead(*self._database.explain(error)) from error
        finally:
            if connection is not None:
                if keep:
                    self._idle.append(connection)
                else:
                    connection.drop()
            self._places.release()
        return self._reader_of(answer.columns).reads(answer.rows, targets, start_ns, end_ns)

    def close(self) -> None:
        """Cut off what is connected."""
        while self._idle:
            self._idle.pop().drop()

    async def _wait_for_a_place(self) -> None:
        try:
            async with asyncio.timeout(self._limit_ns / NS_PER_S):
                await self._places.acquire()
        except TimeoutError as error:
            reason = f"pool exhausted: none of {self._size} connections was free within"
            raise _FailedRead(f"{reason} {format_duration(self._limit_ns)}", "raise pool") from error

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.drop()
        return None

    def _reader_of(self, columns: tuple[str, ...]) -> RowReader:
        if self._rows is None or columns != self._columns:
            self._rows, self._columns = RowReader(columns, self._by_capture, self._looks), columns
        return self._rows


@asynccontextmanager
async def reading(config: SqlSettings, database: Database, surroundings: Surroundings) -> AsyncIterator[SqlReader]:
    """Ask about an event that doesn't exist, yield the probe, disconnect. Raises TargetError."""
    if surroundings.traffic is not None:
        database = _WatchedDatabase(database, config.query, surroundings.traffic, surroundings.clock)
    reader = SqlReader(config, database, surroundings.clock, surroundings.traffic)
    try:
        nobody = surroundings.ids.id_of(_NOBODY)
        await reader.try_out(Target(_NOBODY, nobody, nobody))
        yield reader
    finally:
        reader.close()
