"""Connections to PostgreSQL by asyncpg, and its errors in words that say what to change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from ...clients.bounded import CURE, Allowance, Bounded, TooLong
from ...clients.databases import Refusal, shown_address
from ...clients.postgres import (
    bounded_of,
    connect,
    connection_errors,
    explain_connection,
    load_asyncpg,
    message_of,
    remark_on,
)
from ...spi.context import Surroundings
from ...units import NS_PER_S, format_duration
from .._shared.sql_reader import Rows
from .._shared.sql_rows import BadColumns
from .._shared.sql_settings import split_query
from .settings import PostgresProbeSettings

_LEAST_MS: Final = 1


class PostgresDatabase:
    """The database of one probe."""

    def __init__(self, config: PostgresProbeSettings, surroundings: Surroundings) -> None:
        self._sdk = load_asyncpg(config.kind)
        self._verify = config.verify
        self._remark = surroundings.remark
        self._with_login = partial(surroundings.with_login, config)
        self._query = "$1".join(split_query(config.query))
        self._limit_ns = config.statement_timeout
        self._settings = {
            "statement_timeout": str(max(_LEAST_MS, config.statement_timeout * 1000 // NS_PER_S)),
        }
        self._allowance = Allowance(config.longest)
        self.where = shown_address(config.url)
        self.errors = connection_errors(self._sdk)

    async def connect(self) -> _PostgresConnection:
        """Connect and prepare the query."""
        connection = await connect(
            self._sdk, self._with_login().url, self._settings, self._allowance, verify=self._verify, reads_only=True
        )
        remark_on(connection, self.where, self._remark)
        bounded = bounded_of(connection)
        try:
            with bounded.answer():
                statement = await connection.prepare(self._query)
            for parameter in statement.get_parameters():
                if parameter.kind != "array":
                    raise BadColumns(f"the query takes :ids for one {parameter.name}; write = ANY(:ids)")
        except BaseException:
            connection.terminate()
            raise
        return _PostgresConnection(self._sdk, connection, statement, bounded)

    def explain(self, error: Exception) -> Refusal:
        """See `Database`."""
        sdk = self._sdk
        message = message_of(error)
        if isinstance(error, TooLong):
            return Refusal(message, CURE)
        if isinstance(error, sdk.QueryCanceledError) and "timeout" in message:
            reason = f"statement timeout: the query took longer than {format_duration(self._limit_ns)}"
            return Refusal(reason, "add an index on the column that holds the id, or raise statement_timeout")
        if isinstance(error, sdk.InsufficientPrivilegeError):
            return Refusal(message, "grant it to the user in url, such as GRANT SELECT ON the table")
        if isinstance(error, sdk.ReadOnlySQLTransactionError):
            return Refusal(f"the query writes: {message}", "write a SELECT that only reads")
        if isinstance(error, sdk.SyntaxOrAccessError):
            return Refusal(f"the query is wrong: {message}", "correct query")
        if isinstance(error, sdk.DataError) and message.startswith("invalid input for query argument"):
            return Refusal("the ids can't be compared with that column", "write id::text = ANY(:ids)")
        return explain_connection(sdk, error)


class _PostgresConnection:
    def __init__(self, sdk: Any, connection: Any, statement: Any, bounded: Bounded) -> None:
        self._outdated = (sdk.InvalidCachedStatementError, sdk.InvalidSQLStatementNameError)
        self._connection = connection
        self._statement = statement
        self._bounded = bounded
        self._columns = tuple(attribute.name for attribute in statement.get_attributes())

    @property
    def usable(self) -> bool:
        return not self._connection.is_closed()

    async def ask(self, ids: Sequence[str]) -> Rows:
        try:
            with self._bounded.answer():
                return Rows(self._columns, await self._statement.fetch(ids))
        except self._outdated:
            # The table was altered: only a new connection prepares the query anew.
            self._connection.terminate()
            raise

    def drop(self) -> None:
        self._connection.terminate()
