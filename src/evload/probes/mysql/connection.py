"""The MySQL probe's connections, and what is said of its query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...clients.bounded import Allowance
from ...clients.databases import Refusal
from ...clients.mysql import MysqlServer, number_and_message
from ...spi.context import Surroundings
from ...units import format_duration
from .._shared.sql_reader import Rows
from .._shared.sql_settings import split_query
from .settings import MysqlProbeSettings

_TIMED_OUT: Final = (1969, 3024)
"""MariaDB's and MySQL's number for it."""
_WRITES: Final = (1290, 1792)
_WRONG_QUERY: Final = (1054, 1064, 1109, 1146, 1305)
_SESSION: Final = ("TRANSACTION READ ONLY", "time_zone = '+00:00'")


class MysqlDatabase:
    """The database of one probe."""

    def __init__(self, config: MysqlProbeSettings, surroundings: Surroundings) -> None:
        self._server = MysqlServer(
            config.url, lambda: surroundings.with_login(config).url, Allowance(config.longest), surroundings.base_dir,
            verify=config.verify, remark=surroundings.remark, needs="kind mysql",
        )  # fmt: skip
        self._pieces = split_query(config.query)
        self._limit_ns = config.statement_timeout
        self.where = self._server.where
        self.errors = self._server.errors

    async def connect(self) -> _MysqlConnection:
        """Connect, and have the server refuse writes and end what takes too long."""
        connection = await self._server.connect(limit_ns=self._limit_ns, session=_SESSION)
        return _MysqlConnection(connection, self._pieces)

    def explain(self, error: Exception) -> Refusal:
        """See `Database`."""
        number, message = number_and_message(error)
        if number in _TIMED_OUT:
            reason = f"statement timeout: the query took longer than {format_duration(self._limit_ns)}"
            return Refusal(reason, "add an index on the column that holds the id, or raise statement_timeout")
        if number in _WRITES:
            return Refusal(f"the query writes: {message}", "write a SELECT that only reads")
        if number in _WRONG_QUERY:
            return Refusal(f"the query is wrong: {message}", "correct query")
        return self._server.explain(error)


class _MysqlConnection:
    def __init__(self, connection: Any, pieces: Sequence[str]) -> None:
        self._connection = connection
        self._pieces = pieces

    @property
    def usable(self) -> bool:
        reader = self._connection._reader
        return not self._connection.closed and not reader.at_eof() and reader.exception() is None

    async def ask(self, ids: Sequence[str]) -> Rows:
        escape = self._connection.escape
        given = ",".join([escape(text) for text in ids])
        async with self._connection.cursor() as cursor:
            with self._connection.bounded.answer():
                await cursor.execute(given.join(self._pieces))
            return Rows(tuple(column[0] for column in cursor.description or ()), await cursor.fetchall())

    def drop(self) -> None:
        self._connection.close()
